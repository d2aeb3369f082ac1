from . import image_headers as image_headers
from . import tables as tables
from . import tractograms as tractograms
from . import trx as trx
