package state

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
)

// bulkInsert is a statement that inserts or updates rows of an audience. SQLite runs it once for a few rows, and PostgreSQL once for many
// rows, with the values of each column in one text: to encode arrays, the driver needs more time than the server needs for the rows.
type bulkInsert struct {
	table    string
	columns  []bulkColumn // after the audience
	conflict string       // what to do with existing rows
}

// bulkColumn is a column of a bulkInsert. If its kind is textColumn, the values are escaped strings, otherwise sql.NullInt64.
type bulkColumn struct{ name, kind string }

const textColumn = "TEXT"

// Numbers of rows in one statement. For SQLite, more than a few save nothing.
const (
	maxBulk = 10_000
	fewRows = 16
)

// listedRows returns a statement that inserts n rows with the values of each, which begin with the audience. Parameters with numbers would
// cost the driver more time.
func (b *bulkInsert) listedRows(n int) string {
	row := "(?" + strings.Repeat(", ?", len(b.columns)) + ")"
	return fmt.Sprintf("%s VALUES %s %s", b.insertInto(), row+strings.Repeat(", "+row, n-1), b.conflict)
}

// manyRows returns a statement of PostgreSQL that inserts rows from texts of appendText and appendNumber.
func (b *bulkInsert) manyRows() string {
	lists := b.eachColumn(func(i int, c bulkColumn) string {
		if c.kind == textColumn {
			return fmt.Sprintf("(string_to_array($%d, %s))[2:]", i+2, textSeparatorSQL)
		}
		return fmt.Sprintf("(string_to_array($%d, ',', ''))[2:]::%s[]", i+2, c.kind)
	})
	return fmt.Sprintf("%s SELECT $1::BIGINT, r.* FROM unnest(%s) AS r %s", b.insertInto(), lists, b.conflict)
}

func (b *bulkInsert) insertInto() string {
	return fmt.Sprintf("INSERT INTO %s (audience, %s)", b.table, b.eachColumn(func(_ int, c bulkColumn) string { return c.name }))
}

// eachColumn returns the results of f for the columns, separated by commas.
func (b *bulkInsert) eachColumn(f func(int, bulkColumn) string) string {
	texts := make([]string, len(b.columns))
	for i, c := range b.columns {
		texts[i] = f(i, c)
	}
	return strings.Join(texts, ", ")
}

// bulkRows are the values of rows, one after the other.
type bulkRows struct {
	insert *bulkInsert
	values []any
}

// add adds a row.
func (r *bulkRows) add(values ...any) { r.values = append(r.values, values...) }

// save inserts the rows.
func (r *bulkRows) save(ctx context.Context, s *Store, tx *sql.Tx, audience int64) error {
	if s.IsLocal() {
		return r.saveListed(ctx, tx, audience)
	}
	for width := len(r.insert.columns); len(r.values) > 0; {
		n := min(len(r.values), maxBulk*width)
		if _, err := tx.ExecContext(ctx, r.insert.manyRows(), append([]any{audience}, columnTexts(r.insert.columns, r.values[:n])...)...); err != nil {
			return err
		}
		r.values = r.values[n:]
	}
	return nil
}

// saveListed inserts the rows, a few with each statement.
func (r *bulkRows) saveListed(ctx context.Context, tx *sql.Tx, audience int64) error {
	ctx = context.WithoutCancel(ctx) // watching a context costs more than a row; the transaction ends with it
	for _, n := range []int{fewRows, 1} {
		if err := r.saveGroups(ctx, tx, audience, n); err != nil {
			return err
		}
	}
	return nil
}

// saveGroups inserts n rows with each statement, and leaves the rest.
func (r *bulkRows) saveGroups(ctx context.Context, tx *sql.Tx, audience int64, n int) error {
	width := len(r.insert.columns)
	if len(r.values) < n*width {
		return nil
	}
	statement, err := tx.PrepareContext(ctx, r.insert.listedRows(n))
	if err != nil {
		return err
	}
	defer statement.Close()
	args := make([]any, 0, n*(1+width))
	for len(r.values) >= n*width {
		args = args[:0]
		for range n {
			args = append(append(args, audience), r.values[:width]...)
			r.values = r.values[width:]
		}
		if _, err := statement.ExecContext(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// textSeparator cannot be part of an escaped text: \x01 is always followed by \x01 or \x02, or preceded by \x01.
const (
	textSeparator    = "\x02\x01\x03"
	textSeparatorSQL = `E'\x02\x01\x03'`
)

// columnTexts returns a text for each column, in which a separator precedes each value.
func columnTexts(columns []bulkColumn, values []any) []any {
	texts := make([]any, len(columns))
	for i := range columns {
		var text []byte
		for at := i; at < len(values); at += len(columns) {
			switch v := values[at].(type) {
			case string:
				text = append(append(text, textSeparator...), v...)
			case sql.NullInt64:
				if text = append(text, ','); v.Valid {
					text = strconv.AppendInt(text, v.Int64, 10)
				}
			}
		}
		texts[i] = string(text)
	}
	return texts
}

// listedTexts returns identities as the text that {listed} expects from PostgreSQL.
func listedTexts(identities []string) string {
	text := make([]byte, 0, 32*len(identities))
	for _, identity := range identities {
		text = append(append(text, textSeparator...), toSQL.Replace(identity)...)
	}
	return string(text)
}

// notNull and flag are the values of columns that are never null.
func notNull(n int64) sql.NullInt64 { return sql.NullInt64{Int64: n, Valid: true} }

func flag(b bool) sql.NullInt64 {
	if b {
		return notNull(1)
	}
	return notNull(0)
}
