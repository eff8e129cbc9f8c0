package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/destinations"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/server"
	"github.com/landfall-dev/landfall/internal/author/sample"
)

func TestMain(m *testing.M) {
	testscript.Main(cleanupMain{m}, map[string]func(){
		"landfall":        func() { os.Exit(Main(destinations.All()...)) },
		"landfall-sample": func() { os.Exit(Main(append(destinations.All(), sample.Plugin())...)) }, // with a destination that uses everything
	})
}

// TestScripts runs the command line as people do; $REPO is the repository. The scripts run the program as it is built for users: with
// the race detector, which the tests of the packages have, each of their hundreds of commands would take a second to start.
func TestScripts(t *testing.T) {
	repo, err := filepath.Abs("../..")
	require.NoError(t, err)
	program, err := binary()
	require.NoError(t, err)
	testscript.Run(t, testscript.Params{
		Dir:  "testdata/script",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"until": untilMatch, "post": postFile, "fetch": fetchFile, "gzip": gzipFile, "bytes": writeBytes, "parquet": writeParquet, "s3": startS3, "sandbox": serveSandbox},
		Condition: func(name string) (bool, error) {
			if name != "tutorial" {
				return false, fmt.Errorf("there is no condition %q", name)
			}
			return hasTutorialsDestination(), nil
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("REPO", repo)
			if fault, ok := os.LookupEnv("MUTANT"); ok { // of .ci/mutants, which puts it into the binary of the test
				env.Setenv("MUTANT", fault)
				return nil
			}
			env.Setenv("PATH", filepath.Dir(program)+string(os.PathListSeparator)+env.Getenv("PATH"))
			return nil
		},
	})
}

// hasTutorialsDestination reports whether a tutorial was followed in this checkout, so that the program has a destination called acme.
func hasTutorialsDestination() bool {
	_, err := os.Stat("../../destinations/acme")
	return err == nil
}

// serveSandbox serves the sandbox of a destination at $SANDBOX_URL for the rest of the script: sandbox SLUG.
func serveSandbox(ts *testscript.TestScript, _ bool, args []string) {
	registry, err := destination.NewRegistry(destinations.All())
	ts.Check(err)
	found, err := registry.Find(args[0])
	ts.Check(err)
	server := httptest.NewServer(found.Plugin.Sandbox.New(nil))
	ts.Defer(server.Close)
	ts.Setenv("SANDBOX_URL", server.URL)
}

// untilMatch runs a command until its output matches: until PATTERN COMMAND…. The output of fetch DIR PATH and post DIR PATH FILE, as below, is what the
// server responds.
func untilMatch(ts *testscript.TestScript, neg bool, args []string) {
	pattern, command, out := regexp.MustCompile("(?m)"+args[0]), args[1:], ""
	for range 600 {
		ok := true
		switch command[0] {
		case "fetch":
			out = fetchFrom(ts, command[1:])
		case "post":
			_, out = postTo(ts, command[1:])
		default:
			ok = ts.Exec(command[0], command[1:]...) == nil
			out = ts.ReadFile("stdout")
		}
		if ok && pattern.MatchString(out) {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	ts.Fatalf("%v does not print %s but %s", command, args[0], out+ts.ReadFile("stderr"))
}

// fetchFile writes the response of the admin API of a data directory's server to a file: fetch DIR PATH FILE.
func fetchFile(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(fetchFrom(ts, args)), 0o600))
}

// fetchFrom returns the response of the admin API.
func fetchFrom(ts *testscript.TestScript, args []string) string {
	at := addressIn(ts, args[0])
	r, err := http.NewRequest(http.MethodGet, at.URL+args[1], nil)
	ts.Check(err)
	r.Header.Set("Authorization", "Bearer "+at.Token)
	_, text := responseTo(ts, r)
	return text
}

// postFile sends a file to the server of a data directory: post DIR PATH FILE.
func postFile(ts *testscript.TestScript, neg bool, args []string) {
	if status, text := postTo(ts, args); (status == http.StatusOK) == neg {
		ts.Fatalf("the server responds with %d: %s", status, text)
	}
}

// postTo sends a file to the tracking API.
func postTo(ts *testscript.TestScript, args []string) (status int, text string) {
	r, err := http.NewRequest(http.MethodPost, addressIn(ts, args[0]).Ingest+args[1], bytes.NewBufferString(ts.ReadFile(args[2])))
	ts.Check(err)
	r.SetBasicAuth("wk", "")
	return responseTo(ts, r)
}

// addressIn returns the address of a data directory's server.
func addressIn(ts *testscript.TestScript, dir string) (at server.Address) {
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(filepath.Join(dir, server.AddressFile))), &at))
	return at
}

// responseTo returns the response to a request.
func responseTo(ts *testscript.TestScript, r *http.Request) (status int, text string) {
	answer, err := http.DefaultClient.Do(r)
	ts.Check(err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	ts.Check(err)
	return answer.StatusCode, string(body)
}
