# The numbers of codes.py as constants of C.

cdef enum:
    CLOSED = 0
    OPEN = 1
    HALF_OPEN = 2

cdef enum:
    SUCCEEDED = 0
    FAILED = 1
    IGNORED = 2
    REJECTED = 3
    ADMITTED = 4
    OTHER = 5
    UNKNOWN = 6

cdef enum:
    NO_RULE = 0
    CONSECUTIVE_FAILURES = 1
    WINDOW_FAILURES = 2
    FAILURE_RATE = 3
    SLOW_CALL_RATE = 4
    COOLDOWN = 5
    PROBE_FAILED = 6
    PROBE_TIMEOUT = 7
    PROBE_SUCCESSES = 8
    PROBE_WINDOW = 9
    HALF_OPEN_TIMEOUT = 10

cdef enum:
    FUTURE_EPOCH = -1
    ADMITS_NO_PROBE = -2
    NO_PLACE_FOR_A_PROBE = -3
    WRONG_PROBE_NUMBER = -4

cdef enum:
    ALLOWED = 0
    PROBE = 1
    COOLING = 2
    FORCED = 3
    EXHAUSTED = 4
    DISABLED = 5

cdef enum:
    ASKS_OUTCOME = -5
    ASKS_WINDOW = -6
    IS_DUE = -7
    ASKS_ALL = -8

cdef enum:
    BUCKET = 6

# Some compilers have no constants of 64 bits in an enum.
cdef extern from *:
    const long long NEVER "9223372036854775807LL"
    const long long SECOND "1000000000LL"
    const long long FITS "2147483648LL"
    const long long GROUP "4611686018427387904LL"
