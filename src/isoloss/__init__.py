from .regression import *
