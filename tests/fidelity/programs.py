def differing_program(sides, count):
    return None
