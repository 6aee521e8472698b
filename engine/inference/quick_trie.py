"""A look-up among the prompts that were read that costs no more than the prompt that is looked for.

mlx-lm's own finds the shortest of all that go on from the common prefix, and copies every path on
its way: with 64 long chats in memory a new one then waits for half a second. Any of them serves as
well, since what goes beyond the prefix is cut off. Inference thread only.
"""

from typing import Any

from mlx_lm.models.cache import PromptTrie, PromptTrieResult

_VALUE = "__value__"


class QuickTrie(PromptTrie):  # type: ignore[misc]  # mlx-lm has no types
    """Its nodes are dicts from token to node; what is kept stands under ``__value__``."""

    def search(self, model: Any, tokens: list[int]) -> PromptTrieResult:
        """As mlx-lm's, but ``longer`` is the oldest that goes on, not the shortest."""
        node, known, prefix = self._trie.get(model, {}), 0, 0
        for token in tokens:
            if token not in node:
                break
            node, prefix = node[token], prefix + 1
            if _VALUE in node:
                known = prefix
        if tokens and known == len(tokens):
            return PromptTrieResult(model, tokens, None, None, 0)
        longer = [*tokens[:prefix], *_way_down(node)] if prefix else None
        return PromptTrieResult(model, None, tokens[:known] or None, longer, prefix)


def _way_down(node: dict[Any, Any]) -> list[int]:
    """Tokens from a node to something kept below it."""
    way: list[int] = []
    while _VALUE not in node:
        token, node = next(iter(node.items()))
        way.append(token)
    return way
