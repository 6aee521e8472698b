"""Child: the device that MLX computes on, as the engine describes it, as JSON."""

import dataclasses
import json

from engine.inference.backend import device_facts

if __name__ == "__main__":
    print(json.dumps(dataclasses.asdict(device_facts())))
