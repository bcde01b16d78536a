from lacre.patcher import *
