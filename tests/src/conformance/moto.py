"""A second opinion on IAM: moto's server on a free port, until standard input ends.

Prints the port on a line. Whoever started it holds the other end of standard input; however that process goes, the
kernel closes the pipe, and this one ends too.
"""

import gc
import logging
import os
import sys

from moto import backends
from moto.moto_server.threaded_moto_server import ThreadedMotoServer
from moto.moto_server.werkzeug_app import MotoRequestHandler

# What it does not have, it answers with a 500 and a traceback; the answer is what is compared.
logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
# It gets tens of thousands of calls: it keeps its connections, lists its own services once, and does not look through all that
# it imported for garbage.
MotoRequestHandler.protocol_version = "HTTP/1.1"
services = list(backends.list_of_moto_modules())
backends.list_of_moto_modules = lambda: services
gc.freeze()
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.buffer.read()
os._exit(0)
