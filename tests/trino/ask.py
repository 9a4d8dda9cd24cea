"""Asks with the Python client, or SQLAlchemy on top of it, and prints the rows, tab between cells.

ask.py dbapi|sqlalchemy HOST:PORT SQL [PROPERTY VALUE]

With TRINO_PASSWORD and TRINO_AUTHORITIES, a file of certificates, dbapi asks over TLS.
"""

import os
import sys

from clients import Login, cursor


def dbapi(server, sql, *session):
    host, port = server.split(":")
    password = os.environ.get("TRINO_PASSWORD")
    login = Login(password, os.environ["TRINO_AUTHORITIES"]) if password else None
    asked = cursor(host, int(port), dict([session]) if session else {}, login)
    asked.execute(sql)
    return iter(asked.fetchone, None)


def with_sqlalchemy(server, sql):
    # Not every play has it.
    import sqlalchemy  # pylint: disable=import-outside-toplevel

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
