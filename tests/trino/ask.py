"""Asks with the Python client, or SQLAlchemy on top of it, and prints the rows, tab between cells.

ask.py dbapi|sqlalchemy HOST:PORT SQL [PROPERTY VALUE]
"""

import sys

import sqlalchemy
import trino


def dbapi(server, sql, *session):
    host, port = server.split(":")
    cursor = trino.dbapi.connect(
        host=host, port=int(port), user="article", http_scheme="http",
        session_properties=dict([session]) if session else {},
    ).cursor()
    cursor.execute(sql)
    return iter(cursor.fetchone, None)


def with_sqlalchemy(server, sql):
    engine = sqlalchemy.create_engine(f"trino://article@{server}/tpch")
    connection = engine.connect().execution_options(stream_results=True)
    return connection.execute(sqlalchemy.text(sql))


def main():
    how, server, sql, *session = sys.argv[1:]
    try:
        for row in (dbapi if how == "dbapi" else with_sqlalchemy)(server, sql, *session):
            print("\t".join(map(str, row)))
    # Whatever the client throws is what its user gets.
    except Exception as why:  # pylint: disable=broad-except
        sys.exit(f"{type(why).__name__}: {why}")


if __name__ == "__main__":
    main()
