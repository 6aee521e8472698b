"""Give functions of a Linux shared library their plain names. Pure, on the bytes of the file.

The wheel ``scipy-openblas32`` names everything ``scipy_...``, so that it cannot meet another BLAS.
MLX looks for ``cblas_sgemm``. A symbol's name is an offset into a table of strings, and the plain
name is the tail of the prefixed one: moving the offset renames it. The table by which the loader
finds names is then made anew, in the older of the two forms it knows, which needs no order of the
symbols and fits into the room of the other. Layout: System V ABI, chapter 5; gABI "Hash Table".
"""

import struct
from collections.abc import Collection
from dataclasses import dataclass

_MAGIC_64_LITTLE = b"\x7fELF\x02\x01"
_PT_LOAD, _PT_DYNAMIC = 1, 2
_DT_NULL, _DT_HASH, _DT_STRTAB, _DT_SYMTAB, _DT_GNU_HASH = 0, 4, 5, 6, 0x6FFFFEF5
_SYMBOL_BYTES = 24


@dataclass(frozen=True)
class _Tables:
    """Where in the file the tables are; ``hash_entry`` is the dynamic entry of the hash table."""

    hash_entry: int
    hash_start: int
    symbols_start: int
    strings_start: int
    symbol_count: int

    @property
    def hash_bytes(self) -> int:
        """Room of the hash table: linkers put the symbols right behind it."""
        return self.symbols_start - self.hash_start


def without_prefix(library: bytes, prefix: str, names: Collection[str]) -> bytes:
    """The library with ``prefix`` taken off the functions ``names``, which are given without it.

    Raises ValueError for what is no 64-bit little-endian ELF library, has its tables elsewhere than
    linkers put them, or lacks one of the functions.
    """
    image = bytearray(library)
    try:
        tables = _tables(image)
        found = _rename(image, tables, prefix.encode(), {name.encode() for name in names})
        if missing := set(names) - found:
            raise ValueError(f"no function {sorted(missing)[0]}")
        _write_hash(image, tables)
    except struct.error as error:
        raise ValueError("the library ends too early") from error
    return bytes(image)


def _tables(image: bytearray) -> _Tables:
    if not image.startswith(_MAGIC_64_LITTLE):
        raise ValueError("not a 64-bit little-endian library")
    start, size, count = (
        *struct.unpack_from("<Q", image, 32),
        *struct.unpack_from("<HH", image, 54),
    )
    loads: list[tuple[int, int, int]] = []
    dynamic = None
    for i in range(count):
        kind, _, offset, address, _, length = struct.unpack_from("<IIQQQQ", image, start + i * size)
        if kind == _PT_LOAD:
            loads.append((address, offset, length))
        elif kind == _PT_DYNAMIC:
            dynamic = offset
    if dynamic is None:
        raise ValueError("not a shared library")
    values: dict[int, tuple[int, int]] = {}
    at = dynamic
    while (entry := struct.unpack_from("<QQ", image, at))[0] != _DT_NULL:
        values.setdefault(entry[0], (at, entry[1]))
        at += 16
    if not {_DT_GNU_HASH, _DT_SYMTAB, _DT_STRTAB} <= values.keys():
        raise ValueError("the library has no table of names")
    hash_entry, hash_address = values[_DT_GNU_HASH]
    symbols, strings = (_offset(values[t][1], loads) for t in (_DT_SYMTAB, _DT_STRTAB))
    hash_start = _offset(hash_address, loads)
    tables = _Tables(hash_entry, hash_start, symbols, strings, (strings - symbols) // _SYMBOL_BYTES)
    if not hash_start < symbols < strings:
        raise ValueError("the library's tables are in an unusual order")
    return tables


def _offset(address: int, loads: list[tuple[int, int, int]]) -> int:
    for start, offset, length in loads:
        if start <= address < start + length:
            return address - start + offset
    raise ValueError("the library names an address outside itself")


def _rename(image: bytearray, tables: _Tables, prefix: bytes, names: set[bytes]) -> set[str]:
    found = set()
    for i in range(tables.symbol_count):
        at = tables.symbols_start + i * _SYMBOL_BYTES
        (offset,) = struct.unpack_from("<I", image, at)
        name = _name(image, tables, offset)
        if name.startswith(prefix) and name[len(prefix) :] in names:
            struct.pack_into("<I", image, at, offset + len(prefix))
            found.add(name[len(prefix) :].decode())
    return found


def _name(image: bytearray, tables: _Tables, offset: int) -> bytes:
    start = tables.strings_start + offset
    return bytes(image[start : image.index(b"\0", start)])


def _write_hash(image: bytearray, tables: _Tables) -> None:
    """A System V hash table of every symbol in the room of the GNU one."""
    bucket_count = tables.hash_bytes // 4 - 2 - tables.symbol_count
    if bucket_count < 1:
        raise ValueError("the table of names leaves no room")
    buckets, chains = [0] * bucket_count, [0] * tables.symbol_count
    for i in range(1, tables.symbol_count):
        (offset,) = struct.unpack_from("<I", image, tables.symbols_start + i * _SYMBOL_BYTES)
        bucket = _hash(_name(image, tables, offset)) % bucket_count
        chains[i], buckets[bucket] = buckets[bucket], i
    words = [bucket_count, tables.symbol_count, *buckets, *chains]
    struct.pack_into(f"<{len(words)}I", image, tables.hash_start, *words)
    struct.pack_into("<Q", image, tables.hash_entry, _DT_HASH)


def _hash(name: bytes) -> int:
    value = 0
    for char in name:
        value = (value << 4) + char
        high = value & 0xF0000000
        value = (value ^ (high >> 24)) & ~high & 0xFFFFFFFF
    return value
