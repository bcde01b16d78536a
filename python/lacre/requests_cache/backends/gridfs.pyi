from lacre.backends.gridfs import *
