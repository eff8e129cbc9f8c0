package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/server/erasure"
	"github.com/landfall-dev/landfall/framework/state"
	"github.com/landfall-dev/landfall/internal/testsize"
)

const eraseConfig = `
state: {key: "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}
sources: [{id: web, writeKey: wk}]
delivery: {linger: 10ms, retention: 48h}
destinations:
  - id: braze-main
    destination: braze-cohorts
    settings: {endpoint: "https://rest.iad-01.braze.com", client_secret: s, partner_api_key: p}
    subscriptions:
      - name: Audiences
        action: syncAudiences
        subscribe: event = "Audience Entered" or event = "Audience Exited"
        mapping: {personas_audience_key: {"@path": $.context.personas.computation_key}}
  - id: braze-users
    destination: braze
    settings: {endpoint: "https://rest.iad-01.braze.com", api_key: k}
    subscriptions:
      - {name: Users, action: updateUserProfile, subscribe: type = "identify"}
`

// eventsOfUser returns a batch of one user: events for two destinations, one that becomes a dead letter, and one that is rejected. They are long
// enough for a compressed page of the log.
func eventsOfUser(user, email, message string) []byte {
	return fmt.Appendf(nil, `{"batch":[
		{"type":"identify","userId":%[1]q,"messageId":"%[3]s-1","traits":{"email":%[2]q,"note":"%[3]s%[4]s"}},
		{"type":"track","event":"Audience Entered","userId":%[1]q,"messageId":"%[3]s-2","properties":{"vip":true,"audience_key":"vip"},
		 "context":{"traits":{"email":%[2]q},"personas":{"computation_class":"audience","computation_id":"aud_1","computation_key":"vip"}}},
		{"type":"track","event":"Audience Entered","userId":%[1]q,"messageId":"%[3]s-3","properties":{"audience_key":"vip"}},
		{"type":"trakc","userId":%[1]q,"messageId":"%[3]s-4","traits":{"email":%[2]q}}]}`, user, email, message, strings.Repeat(" long", 200))
}

// runCommand runs a command on the config of the server and returns what it prints.
func (s *served) runCommand(args ...string) string {
	file, err := binary()
	require.NoError(s.t, err)
	cmd := exec.Command(file, args...)
	cmd.Dir = s.dir
	out, err := cmd.Output()
	require.NoError(s.t, err, "%v: %s", args, out)
	return string(out)
}

// TestErasedUnderLoad erases twenty users while others send events, and kills the server twice. Then no file of the data directory has an id or
// an e-mail address of theirs, and the others have lost nothing.
func TestErasedUnderLoad(t *testing.T) { testErasedUnderLoad(t, eraseConfig, nil, "") }

// TestErasedUnderLoadOnACluster is TestErasedUnderLoad with the log on three NATS servers, whose files have nothing of the users either.
func TestErasedUnderLoadOnACluster(t *testing.T) {
	if testing.Short() {
		t.Skip("three NATS servers")
	}
	t.Parallel() // it mostly waits
	c := newCluster(t)
	testErasedUnderLoad(t, fmt.Sprintf("nats: {url: %q}\n", c.urls())+eraseConfig, c.dirs, c.urls())
}

// testErasedUnderLoad erases users from a server whose log is in further directories and at a URL, if it is not in the data directory.
func testErasedUnderLoad(t *testing.T, config string, dirs []string, url string) {
	const gone, lost = "gone-user-", "@gone.example.com"
	sandbox := newBrazeSandbox(t)
	s := newServed(t, config, "--sandbox-url", sandbox.URL)
	s.start()
	dirs = append(dirs, s.dataDir())
	filesWith := func(text string) (list []string) {
		for _, dir := range dirs {
			list = append(list, filesWith(t, dir, text)...)
		}
		return list
	}
	var requests strings.Builder
	for i := range 20 {
		s.post(eventsOfUser(fmt.Sprint(gone, i), fmt.Sprint("Ann", i, lost), fmt.Sprint("g", i)))
		s.post(eventsOfUser(fmt.Sprint("early-", i), fmt.Sprint("early", i, "@stays.example.com"), fmt.Sprint("e", i)))
		fmt.Fprintf(&requests, "%s%d\n", gone, i)
	}
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "users.csv"), []byte(requests.String()), 0o600))
	require.Eventually(t, func() bool {
		list, ok := s.status()
		return ok && list[0].Counts["dead"] == 40 && list[0].Waiting == 0
	}, 60*time.Second, 50*time.Millisecond)
	time.Sleep(2 * time.Second) // the history is written once a second
	require.NotEmpty(t, filesWith(gone))
	if url == "" {
		require.NotEmpty(t, filesWith("{\xffs2"), "pages are compressed")
	}

	stop, accepted := make(chan struct{}), map[string]bool{}
	var sending sync.RWMutex // held while the server is away, so that its new address is seen
	var load sync.WaitGroup
	load.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
			sending.RLock()
			url := s.url
			sending.RUnlock()
			id := fmt.Sprint("l", i)
			if s.tryPost(url, eventsOfUser(fmt.Sprint("other-", i%50), "other@stays.example.com", id)) {
				accepted[id] = true
			}
		}
	})
	s.runCommand("erase", "--file", "users.csv", "--sandbox-url", sandbox.URL, "--yes")
	receipts := func() (list []erasure.Receipt) {
		status, text := s.ask("/admin/erasures", "Authorization", "Bearer "+s.admin.Token)
		require.Equal(t, 200, status, text)
		require.NoError(t, json.Unmarshal([]byte(text), &list))
		require.Len(t, list, 20)
		return list
	}
	for range testsize.Of(2, 1) {
		require.Eventually(t, func() bool {
			for _, r := range receipts() {
				if len(r.Steps) > 0 {
					return true
				}
			}
			return false
		}, 60*time.Second, 10*time.Millisecond)
		sending.Lock()
		s.kill(syscall.SIGKILL)
		s.start()
		sending.Unlock()
	}
	require.Eventually(t, func() bool {
		for _, r := range receipts() {
			if r.DoneAt == nil {
				return false
			}
		}
		return true
	}, 120*time.Second, 200*time.Millisecond)
	close(stop)
	load.Wait()
	for _, r := range receipts() {
		for _, step := range r.Steps {
			assert.True(t, step.Done && step.Error == "", "%+v", step)
		}
	}
	assert.Empty(t, filesWith(gone), "while the server runs")
	assert.Empty(t, filesWith(lost), "while the server runs")
	s.kill(syscall.SIGINT)
	assert.Empty(t, filesWith(gone))
	assert.Empty(t, filesWith(lost))
	log := delivery.Config{URL: url}
	if url == "" {
		log.Dir = filepath.Join(s.dataDir(), instances.QueueName((&instances.Target{SandboxURL: sandbox.URL}).SandboxName()))
	}
	checkOthers(t, s, sandbox.URL, log, accepted)
	text, err := os.ReadFile(s.log.Name())
	require.NoError(t, err)
	assert.NotContains(t, string(text), gone)
}

// checkOthers checks that the log and the ledger have everything of the users who were not erased.
func checkOthers(t *testing.T, s *served, url string, log delivery.Config, accepted map[string]bool) {
	name := (&instances.Target{SandboxURL: url}).SandboxName()
	q, err := delivery.Open(t.Context(), log)
	require.NoError(t, err)
	defer q.Close()
	assert.Empty(t, q.Problems())
	stored := map[string]bool{}
	require.NoError(t, q.EachStored(t.Context(), func(raw []byte) {
		e, err := event.Parse(raw)
		require.NoError(t, err)
		stored[e.Value().Get("messageId").Str()] = true
	}))
	for i := range 20 {
		accepted[fmt.Sprint("e", i)] = true
	}
	for id := range accepted {
		for n := 1; n <= 3; n++ {
			assert.True(t, stored[fmt.Sprintf("%s-%d", id, n)], "%s-%d", id, n)
		}
	}
	store, err := state.OpenSandbox(t.Context(), s.dataDir(), name)
	require.NoError(t, err)
	defer store.Close()
	sizes, err := store.Ledger("braze-main").Sizes(t.Context())
	require.NoError(t, err)
	require.Len(t, sizes, 1)
	assert.GreaterOrEqual(t, sizes[0].Members, 20)
	for i := range 20 {
		_, _, ok, err := store.Ledger("braze-main").Find(t.Context(), "aud_1", fmt.Sprintf("external_id:early-%d", i))
		require.NoError(t, err)
		assert.True(t, ok)
	}
}

// filesWith returns the files of a directory that have a text, in any case, also in what the log has compressed in them.
func filesWith(t *testing.T, dir, text string) (list []string) {
	require.NoError(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return nil // it was deleted meanwhile, or is a socket
		}
		content, err := os.ReadFile(path)
		if err == nil && bytes.Contains(bytes.ToLower(decompressed(content)), []byte(strings.ToLower(text))) {
			list = append(list, path)
		}
		assert.False(t, filepath.Ext(path) == ".blk" && bytes.HasPrefix(content, []byte("cmp")), "the log's files are not compressed as a whole")
		return nil
	}))
	return list
}

// decompressed returns the content of a file, followed by the pages of the log that are compressed in it.
func decompressed(content []byte) []byte {
	all := bytes.Clone(content)
	for _, page := range bytes.Split(content, []byte("{\xffs2"))[1:] {
		if len(page) < 4 {
			continue
		}
		size, block := int(page[0])|int(page[1])<<8|int(page[2])<<16, page[4:]
		if text, err := s2.Decode(nil, block[:min(size, len(block))]); err == nil { // otherwise it is being written
			all = append(all, text...)
		}
	}
	return all
}
