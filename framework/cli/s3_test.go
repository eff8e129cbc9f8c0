package cli

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/rogpeppe/go-internal/testscript"
)

// startS3 starts a server of S3 with files in the bucket shop, for the rest of the script: s3 FILE... An object with cut in its name is never read to its end.
func startS3(ts *testscript.TestScript, _ bool, files []string) {
	backend := s3mem.New()
	ts.Check(backend.CreateBucket("shop"))
	for _, file := range files {
		content, err := os.ReadFile(ts.MkAbs(file))
		ts.Check(err)
		_, err = backend.PutObject("shop", file, map[string]string{}, bytes.NewReader(content), int64(len(content)), nil)
		ts.Check(err)
	}
	handler := gofakes3.New(backend).Server()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "cut") {
			if r.Header.Get("Range") != "" {
				w.WriteHeader(http.StatusPreconditionFailed)
				return
			}
			w.Header().Set("Etag", `"1"`)
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte("external_id\n1\n"))
			return
		}
		handler.ServeHTTP(w, r)
	}))
	ts.Defer(server.Close)
	ts.Setenv("AWS_ENDPOINT_URL", server.URL)
	ts.Setenv("AWS_ACCESS_KEY_ID", "key")
	ts.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
}
