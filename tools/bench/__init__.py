"""What recloser costs, measured together with its peers in one interleaved run: ``python tools/bench``.

Every subject takes its turn in each of many short rounds, so that whatever else the machine does
falls on all of them alike. A ratio is the median of the ratios within the rounds. No peer records
the calls that it lets through, so beside them stands the floor: a wrapper that reads the monotonic
clock twice, takes a lock and appends a tuple, which is the least that a recording breaker in pure
Python can do.
"""
