def asked_for(argv):
    return None
