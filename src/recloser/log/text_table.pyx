# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: freethreading_compatible=True
"""Numbers the different texts in a log, such as breaker names.

``recloser.log.outcome_rows`` looks up each breaker name and error type here. So a name is decoded once
per log and not once per line, and two names are compared by their numbers. Compiled only.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport int32_t, uint64_t
from libc.string cimport memcmp, memset


cdef class TextTable:
    """A hash table that gives each different text an index, from 0 up.

    The table uses open addressing; its size is a power of two and at least twice the number of texts.

    Attributes:
        texts: The texts, by index.
    """

    def __cinit__(self):
        self.texts = []
        self._encoded = []
        self._mask = 255
        self._slots = <Text *>PyMem_Malloc(256 * sizeof(Text))
        if self._slots is NULL:
            raise MemoryError
        memset(self._slots, 0, 256 * sizeof(Text))

    def __dealloc__(self):
        PyMem_Free(self._slots)

    cdef int32_t index_of(self, const char *start, Py_ssize_t size, uint64_t hash) except -2:
        """Return the index of a text, and add it if it is new; ``NOT_UTF8`` if it can't be decoded."""
        cdef Py_ssize_t slot = hash & self._mask
        cdef Text *text
        while True:
            text = &self._slots[slot]
            if text.start is NULL:
                return self._add(start, size, hash)
            if text.hash == hash and text.size == size and memcmp(text.start, start, size) == 0:
                return text.index
            slot = (slot + 1) & self._mask

    cdef int32_t _add(self, const char *start, Py_ssize_t size, uint64_t hash) except -2:
        cdef bytes encoded = PyBytes_FromStringAndSize(start, size)
        try:
            decoded = encoded.decode()
        except UnicodeDecodeError:
            return NOT_UTF8
        cdef int32_t index = <int32_t>len(self.texts)
        if 2 * index > self._mask:
            self._grow()
        self.texts.append(decoded)
        # The slot points into `encoded`, so the list keeps it alive as long as the table.
        self._encoded.append(encoded)
        cdef Text text = Text(hash, PyBytes_AS_STRING(encoded), size, index)
        self._put(text)
        return index

    cdef void _put(self, Text text) noexcept:
        cdef Py_ssize_t slot = text.hash & self._mask
        while self._slots[slot].start is not NULL:
            slot = (slot + 1) & self._mask
        self._slots[slot] = text

    cdef int _grow(self) except -1:
        cdef Text *before = self._slots
        cdef Py_ssize_t slot, size = self._mask + 1
        cdef Text *slots = <Text *>PyMem_Malloc(4 * size * sizeof(Text))
        if slots is NULL:
            raise MemoryError
        memset(slots, 0, 4 * size * sizeof(Text))
        self._slots = slots
        self._mask = 4 * size - 1
        for slot in range(size):
            if before[slot].start is not NULL:
                self._put(before[slot])
        PyMem_Free(before)
        return 0
