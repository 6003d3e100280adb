# Types of orders.py where it is compiled.

cimport cython
from cpython.array cimport array

cdef Py_ssize_t _RUN

@cython.locals(found=array, items="long long[::1]", number="Py_ssize_t")
cpdef array numbers_from(Py_ssize_t first, Py_ssize_t stop)
@cython.locals(order=array, items="long long[::1]", spare="long long[::1]", size="Py_ssize_t", width="Py_ssize_t", low="Py_ssize_t", middle="Py_ssize_t")
cpdef array order_of(const long long[::1] keys)
@cython.locals(place="Py_ssize_t", to="Py_ssize_t", number="long long", key="long long")
cdef void _insert(const long long[::1] keys, long long[::1] order, Py_ssize_t low, Py_ssize_t high) noexcept
@cython.locals(first="Py_ssize_t", count="Py_ssize_t", index="Py_ssize_t", right="Py_ssize_t", least="long long")
cdef void _merge(const long long[::1] keys, long long[::1] order, long long[::1] spare, Py_ssize_t low, Py_ssize_t middle, Py_ssize_t high) noexcept
@cython.locals(keys=array, items="long long[::1]", number="Py_ssize_t")
cpdef array order_of_ends(const long long[::1] starts, const long long[::1] ends)
@cython.locals(found=array, items="long long[::1]", place="Py_ssize_t")
cpdef array inverse(const long long[::1] order)
@cython.locals(found=array, items="long long[::1]", place="Py_ssize_t")
cpdef array taken(const long long[::1] values, const long long[::1] order)
@cython.locals(items="unsigned char[::1]", place="Py_ssize_t")
cpdef bytes codes_taken(const unsigned char[::1] outcomes, const long long[::1] order)
@cython.locals(found=array, anew="long long[::1]", items="long long[::1]", index="Py_ssize_t", place="Py_ssize_t")
cpdef array kept(const long long[::1] order, const long long[::1] numbers)
@cython.locals(found=array, items="long long[::1]", ended="Py_ssize_t", number="Py_ssize_t")
cpdef array ended_before(const long long[::1] starts, const long long[::1] ends, const long long[::1] by_end)
@cython.locals(found=list)
cpdef list under_way(const long long[::1] place, Py_ssize_t number, Py_ssize_t ended, Py_ssize_t count)
@cython.locals(found=array, items="long long[::1]", highest="long long", place="Py_ssize_t")
cpdef array highest_so_far(const long long[::1] values)
@cython.locals(found=array, items="long long[::1]", count="Py_ssize_t", place="Py_ssize_t")
cpdef array places_of(const unsigned char[::1] outcomes, int first, int last)
@cython.locals(found=array, items="long long[::1]", count="long long", place="Py_ssize_t")
cpdef array count_before(const unsigned char[::1] outcomes, int code)
