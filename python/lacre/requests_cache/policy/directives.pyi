from lacre.policy.directives import *
