# The monotonic hand of SystemClock for compiled code: what time.monotonic_ns() reads, without an object of Python.

cdef extern from *:
    """
    #if defined(__linux__)
    #include <time.h>
    #define RECLOSER_READS_HAND 1
    static long long recloser_hand(void) {
        struct timespec shown;
        clock_gettime(CLOCK_MONOTONIC, &shown);
        return (long long)shown.tv_sec * 1000000000LL + shown.tv_nsec;
    }
    #else
    #define RECLOSER_READS_HAND 0
    static long long recloser_hand(void) { return 0; }
    #endif
    """
    const bint READS_HAND "RECLOSER_READS_HAND"
    long long system_hand "recloser_hand"() noexcept nogil
