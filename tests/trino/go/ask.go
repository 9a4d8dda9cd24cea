// Asks with Trino's Go client and prints the rows, tab between cells: ask HOST:PORT SQL.
package main

import (
	"bufio"
	"database/sql"
	"errors"
	"fmt"
	"os"

	"github.com/trinodb/trino-go-client/trino"
)

func main() {
	if err := ask(os.Args[1], os.Args[2]); err != nil {
		// The client's own words do not name the error.
		var told *trino.ErrTrino
		if errors.As(err, &told) {
			fmt.Fprint(os.Stderr, told.ErrorName, ": ")
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func ask(server, statement string) error {
	db, err := sql.Open("trino", "http://article@"+server)
	if err != nil {
		return err
	}
	defer db.Close()
	rows, err := db.Query(statement)
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	cells, targets := make([]any, len(columns)), make([]any, len(columns))
	for column := range cells {
		targets[column] = &cells[column]
	}
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		for column, cell := range cells {
			if column > 0 {
				out.WriteByte('\t')
			}
			fmt.Fprint(out, cell)
		}
		out.WriteByte('\n')
	}
	return rows.Err()
}
