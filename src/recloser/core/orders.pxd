# Types of orders.py where it is compiled.

cimport cython
from cpython.array cimport array

cdef Py_ssize_t _RUN

@cython.locals(found=array, items="long long[::1]", index="Py_ssize_t")
cpdef array index_range(Py_ssize_t first, Py_ssize_t stop)
@cython.locals(order=array, items="long long[::1]", spare="long long[::1]", size="Py_ssize_t", width="Py_ssize_t", low="Py_ssize_t", middle="Py_ssize_t")
cpdef array order_of(const long long[::1] keys)
@cython.locals(start="Py_ssize_t", to="Py_ssize_t", index="long long", key="long long")
cdef void _sort_run(const long long[::1] keys, long long[::1] order, Py_ssize_t low, Py_ssize_t high) noexcept
@cython.locals(first="Py_ssize_t", count="Py_ssize_t", index="Py_ssize_t", right="Py_ssize_t", least="long long")
cdef void _merge(const long long[::1] keys, long long[::1] order, long long[::1] spare, Py_ssize_t low, Py_ssize_t middle, Py_ssize_t high) noexcept
@cython.locals(order=array, items="long long[::1]", first="Py_ssize_t", stop="Py_ssize_t")
cpdef array order_of_ends(const long long[::1] starts, const long long[::1] ends)
@cython.locals(instant=array, held="long long[::1]", count="Py_ssize_t", place="Py_ssize_t", position="Py_ssize_t", index="long long")
cdef void _put_instant_calls_last(const long long[::1] starts, const long long[::1] ends, long long[::1] order, Py_ssize_t first, Py_ssize_t stop) except *
@cython.locals(found=array, items="long long[::1]", position="Py_ssize_t")
cpdef array inverse_order(const long long[::1] order)
@cython.locals(found=array, items="long long[::1]", position="Py_ssize_t")
cpdef array reordered(const long long[::1] values, const long long[::1] order)
@cython.locals(items="unsigned char[::1]", position="Py_ssize_t")
cpdef bytes reordered_codes(const unsigned char[::1] outcomes, const long long[::1] order)
@cython.locals(found=array, new_index="long long[::1]", items="long long[::1]", index="Py_ssize_t", position="Py_ssize_t")
cpdef array restricted_order(const long long[::1] order, const long long[::1] chosen)
@cython.locals(found=array, items="long long[::1]", ended="Py_ssize_t", call="Py_ssize_t")
cpdef array ended_before(const long long[::1] starts, const long long[::1] ends, const long long[::1] by_end)
@cython.locals(found=list)
cpdef list ends_in_flight(const long long[::1] end_indexes, Py_ssize_t start_index, Py_ssize_t ended, Py_ssize_t count)
@cython.locals(found=array, items="long long[::1]", highest="long long", index="Py_ssize_t")
cpdef array running_maximum(const long long[::1] values)
@cython.locals(found=array, items="long long[::1]", count="Py_ssize_t", index="Py_ssize_t")
cpdef array indexes_of(const unsigned char[::1] outcomes, int first, int last)
@cython.locals(found=array, items="long long[::1]", count="long long", index="Py_ssize_t")
cpdef array count_before(const unsigned char[::1] outcomes, int code)
