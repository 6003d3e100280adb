"""Where work on many logs is done in tests that ask for no cluster."""


class Here:
    """Does all work in this process, one piece after the other."""

    def run(self, function, jobs, on_done=None):
        results = []
        for done, job in enumerate(jobs, start=1):
            results.append(function(*job))
            if on_done is not None:
                on_done(done, len(jobs))
        return results
