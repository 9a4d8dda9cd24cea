class Dbt:
    def __init__(self, play, program):
        pass
