from lacre.backends.dynamodb import *
