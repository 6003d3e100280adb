"""Run the example: ``PYTHONPATH=tools python -m example_service https://api.example.com logs/quotes``."""

import argparse
import logging

import uvicorn

from example_service.service import QuoteService
from recloser import EventLog


def main() -> None:
    """Serve requests until interrupted."""
    parser = argparse.ArgumentParser(prog="example_service", description=__doc__)
    parser.add_argument("api", help="the URL of the API")
    parser.add_argument("log", help="the folder of the log; recloser replay and why read it")
    parser.add_argument("--port", type=int, default=8000)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    with EventLog(arguments.log) as log:
        uvicorn.run(QuoteService(arguments.api, log).app, host="127.0.0.1", port=arguments.port)


if __name__ == "__main__":
    main()
