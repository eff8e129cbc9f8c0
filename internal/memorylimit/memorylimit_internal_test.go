package memorylimit

import (
	"math"
	"runtime/debug"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
)

// TestDetect checks limits of both versions of control groups, at any level, and the memory of the machine.
func TestDetect(t *testing.T) {
	const meminfo = "MemTotal:        2097152 kB\nMemFree:          1024 kB\n"
	for name, c := range map[string]struct {
		files map[string]string
		bytes int64
		from  Source
	}{
		"machine":               {map[string]string{"proc/meminfo": meminfo}, 2 << 30, FromMachine},
		"nothing known":         {nil, 0, FromMachine},
		"unreadable memory":     {map[string]string{"proc/meminfo": "MemTotal: many kB\n"}, 0, FromMachine},
		"version 2":             {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/system.slice/landfall.service\n", "sys/fs/cgroup/system.slice/landfall.service/memory.max": "536870912\n"}, 512 << 20, FromContainer},
		"version 2, parent":     {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/pod/app\n", "sys/fs/cgroup/pod/app/memory.max": "max\n", "sys/fs/cgroup/pod/memory.max": "1000000000\n"}, 1_000_000_000, FromContainer},
		"version 2, namespace":  {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1000000000\n"}, 1_000_000_000, FromContainer},
		"version 2, outside":    {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/../../x\n", "sys/fs/cgroup/memory.max": "1000000000\n"}, 1_000_000_000, FromContainer},
		"version 2, no limit":   {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, 2 << 30, FromMachine},
		"version 1":             {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "5:cpuset:/a\n4:memory:/a\n", "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "536870912\n"}, 512 << 20, FromContainer},
		"version 1, namespace":  {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "4:hugetlb,memory:/docker/1\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "536870912\n"}, 512 << 20, FromContainer},
		"version 1, no limit":   {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "4:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 2 << 30, FromMachine},
		"both, the smaller":     {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "4:memory:/a\n0::/b\n", "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "800000000\n", "sys/fs/cgroup/b/memory.max": "700000000\n"}, 700_000_000, FromContainer},
		"more than the machine": {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "8589934592\n"}, 2 << 30, FromMachine},
		"only a group":          {map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1000000000\n"}, 1_000_000_000, FromContainer},
		"other groups":          {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "broken\n3:memory_recursive:/a\n", "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "5\n"}, 2 << 30, FromMachine},
	} {
		t.Run(name, func(t *testing.T) {
			root := fstest.MapFS{}
			for file, text := range c.files {
				root[file] = &fstest.MapFile{Data: []byte(text)}
			}
			assert.Equal(t, Limit{c.bytes, c.from}, detectIn(root))
		})
	}
}

// TestApply checks that Go gets four fifths, unless GOMEMLIMIT is set, and that only the config overrides that.
func TestApply(t *testing.T) {
	before := debug.SetMemoryLimit(math.MaxInt64)
	defer debug.SetMemoryLimit(before)
	t.Setenv("GOMEMLIMIT", "")
	Limit{0, FromMachine}.Apply()
	assert.EqualValues(t, math.MaxInt64, debug.SetMemoryLimit(-1), "not known")
	Limit{1_000_000_000, FromContainer}.Apply()
	assert.EqualValues(t, 800_000_000, debug.SetMemoryLimit(-1))
	assert.NotEqual(t, FromEnvironment, Detect().From, "the variable is not set")

	t.Setenv("GOMEMLIMIT", "off")
	Limit{2_000_000_000, FromMachine}.Apply()
	assert.EqualValues(t, 800_000_000, debug.SetMemoryLimit(-1), "the operator has chosen")
	t.Setenv("GOMEMLIMIT", "800000000")
	assert.Equal(t, Limit{1_000_000_000, FromEnvironment}, Detect())
	Detect().Apply()
	assert.EqualValues(t, 800_000_000, debug.SetMemoryLimit(-1))
	Limit{500_000_000, FromConfig}.Apply()
	assert.EqualValues(t, 400_000_000, debug.SetMemoryLimit(-1))
}
