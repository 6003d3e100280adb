"""The service of ``service_app`` as Celery tasks, with a broker in files."""

import json
import time

from celery import Celery
from celery_settings import settings
from service_app import FOLDER, pay, pay_twice_at_most, view

PAUSE = 0.02
"""Seconds for which a worker stays busy, so that others take the next tasks."""

app = Celery("service", broker="filesystem://")
app.conf.update(settings(FOLDER))


@app.task(name="pay")
def pay_later():
    pay()
    time.sleep(PAUSE)


@app.task(name="pay twice at most")
def pay_twice_at_most_later():
    pay_twice_at_most()
    time.sleep(PAUSE)


@app.task(name="view")
def view_later():
    line = json.dumps(view()) + "\n"
    with (FOLDER / "views").open("a") as views:
        views.write(line)
    time.sleep(PAUSE)


@app.task(name="wake up")
def wake_up():
    """Do nothing: the message makes a waiting worker notice that it has to stop."""
