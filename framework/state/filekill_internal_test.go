package state

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/internal/testsize"
)

const writerDir = "LANDFALL_TEST_WRITER" // directory of the process that TestFilesSurviveKills kills

// TestWriterThatIsKilled is the process that TestFilesSurviveKills kills. It prints the number of each write that has returned.
func TestWriterThatIsKilled(t *testing.T) {
	dir := os.Getenv(writerDir)
	if dir == "" {
		t.Skip("a part of TestFilesSurviveKills")
	}
	s := fileStore(t, dir)
	s.limits.unmerged = 2000
	l := s.Ledger("main")
	size, _, err := l.Audience(t.Context(), vipAudience.ID)
	require.NoError(t, err)
	for n := int(size.Members); ; n++ {
		require.NoError(t, l.Record(t.Context(), vipAudience, []destination.Change{{Identity: fmt.Sprintf("u%06d", n), Member: true, At: second(n)}}))
		fmt.Println("wrote", n)
	}
}

// A process that is killed while it writes and replaces member files has lost no write that had returned, and leaves a usable ledger.
func TestFilesSurviveKills(t *testing.T) {
	dir, last := t.TempDir(), -1
	for range testsize.Of(8, 3) {
		child := exec.Command(os.Args[0], "-test.run=^TestWriterThatIsKilled$")
		child.Env = append(os.Environ(), writerDir+"="+dir)
		out, err := child.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, child.Start())
		target := last + 150 + int(time.Now().UnixNano()%300)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if _, err := fmt.Sscanf(lines.Text(), "wrote %d", &last); err == nil && last == target {
				require.NoError(t, child.Process.Kill())
			}
			require.False(t, strings.HasPrefix(lines.Text(), "FAIL"), lines.Text())
		}
		_ = child.Wait()
		s := fileStore(t, dir)
		names := make([]string, last+1)
		for i := range names {
			names[i] = fmt.Sprintf("u%06d", i)
		}
		records, err := s.Ledger("main").Lookup(t.Context(), vipAudience.ID, names)
		require.NoError(t, err)
		for i, r := range records {
			require.True(t, r.Member, names[i])
		}
		require.NoError(t, s.Close())
		problems, err := CheckFile(t.Context(), dir+"/"+FileName)
		require.NoError(t, err)
		require.Empty(t, problems)
	}
	s := fileStore(t, dir)
	assert.NotZero(t, rowsOf(t, s, "member_files"))
	require.NoError(t, s.Close())
}
