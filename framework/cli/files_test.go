package cli

import (
	"bytes"
	"compress/gzip"
	"os"
	"strconv"

	"github.com/parquet-go/parquet-go"
	"github.com/rogpeppe/go-internal/testscript"
)

// gzipFile compresses a file: gzip FILE makes FILE.gz.
func gzipFile(ts *testscript.TestScript, _ bool, args []string) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write([]byte(ts.ReadFile(args[0])))
	ts.Check(err)
	ts.Check(w.Close())
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".gz"), b.Bytes(), 0o600))
}

// writeBytes writes a file from the inside of a Go string literal: bytes FILE LITERAL.
func writeBytes(ts *testscript.TestScript, _ bool, args []string) {
	text, err := strconv.Unquote(`"` + args[1] + `"`)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

// writeParquet writes a Parquet file of users with the column external_id: parquet FILE ID...
func writeParquet(ts *testscript.TestScript, _ bool, args []string) {
	type user struct {
		ID string `parquet:"external_id"`
	}
	var users []user
	for _, id := range args[1:] {
		users = append(users, user{id})
	}
	ts.Check(parquet.WriteFile(ts.MkAbs(args[0]), users))
}
