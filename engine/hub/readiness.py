"""Will it chat? Decided from the Hub's facts, before a byte of weights moves. Pure."""

import re
from collections.abc import Collection

from engine.records import ChatReadiness, ModelSummary

CHAT_TASKS = frozenset({"text-generation", "conversational", "text2text-generation"})
SEEING_TASKS = frozenset({"image-text-to-text", "any-to-any", "visual-question-answering"})
_OTHER_TASKS = {
    "feature-extraction": "It makes embeddings for search, not conversation.",
    "sentence-similarity": "It makes embeddings for search, not conversation.",
    "text-ranking": "It ranks texts, it does not converse.",
    "text-classification": "It sorts texts into classes, it does not converse.",
    "fill-mask": "It fills gaps in a text, it does not converse.",
    "text-to-image": "It makes images, not conversation.",
    "image-to-image": "It makes images, not conversation.",
    "text-to-video": "It makes videos, not conversation.",
    "image-to-video": "It makes videos, not conversation.",
    "text-to-speech": "It speaks texts aloud, it does not converse.",
    "text-to-audio": "It makes sound, not conversation.",
    "automatic-speech-recognition": "It writes down speech, it does not converse.",
}
_CONVERSES = re.compile(
    r"(?:^|[-_. ])(?:instruct|it|chat|assistant|thinking|reasoning|r1)(?=[-_. ]|$)", re.IGNORECASE
)
_WEIGHTS = re.compile(r"^model.*\.safetensors$")
_TOKENIZERS = {"tokenizer.json", "tokenizer.model", "tiktoken.model", "tokenizer_config.json"}


def chat_readiness(
    model: ModelSummary, architectures: Collection[str], *, has_access: bool | None = None
) -> ChatReadiness:
    """Whether ``model`` will chat with an mlx-lm that knows ``architectures``.

    ``has_access`` True means that a gated repo has been opened to this person. Facts that the Hub
    does not tell block only where guessing well is hopeless: an unknown architecture does, an
    unlisted chat template does not when the name says that the model converses.
    """
    blockers = [*_access_blockers(model, has_access), *_file_blockers(model)]
    if task := _OTHER_TASKS.get(model.model_type):
        blockers.append(task)
    elif model.architecture == "unknown":
        blockers.append("The Hub does not say which architecture it has.")
    elif model.architecture not in architectures:
        needs_code = " and it wants to run code of its own" if model.needs_code else ""
        blockers.append(
            f"mlx-lm does not know its architecture “{model.architecture[:60]}”{needs_code}."
        )
    elif (blocker := _template_blocker(model)) is not None:
        blockers.append(blocker)
    return ChatReadiness(not blockers, tuple(blockers))


def sees_images(model: ModelSummary) -> bool:
    """Whether the model was made to look at pictures too; here it only reads."""
    return model.model_type in SEEING_TASKS


def _access_blockers(model: ModelSummary, has_access: bool | None) -> list[str]:
    if model.is_disabled:
        return ["The Hub has switched this model off."]
    if model.is_gated and not has_access:
        return ["Its makers ask for permission first: open its page on the Hub and agree there."]
    return []


def _file_blockers(model: ModelSummary) -> list[str]:
    if model.files is None:
        return []
    names = set(model.files)
    if "adapter_config.json" in names and "config.json" not in names:
        return ["It is an adapter for another model, not a whole model."]
    blockers = []
    if not any(_WEIGHTS.match(name) for name in names):
        is_gguf = any(name.endswith(".gguf") for name in names)
        blockers.append(
            "Its weights are GGUF files, which MLX does not load."
            if is_gguf
            else "It has no weights that MLX loads (model*.safetensors)."
        )
    if "config.json" not in names:
        blockers.append("It has no config.json.")
    if not names & _TOKENIZERS:
        blockers.append("It has no tokenizer.")
    return blockers


def _template_blocker(model: ModelSummary) -> str | None:
    if model.has_chat_template:
        return None
    if model.has_chat_template is False:
        return "It has no chat template: it continues text, but was not made to converse."
    if _CONVERSES.search(model.repo_id.rpartition("/")[2]):
        return None
    return "Neither a chat template nor its name says that it converses."
