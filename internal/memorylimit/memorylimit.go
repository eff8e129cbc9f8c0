// Package memorylimit says how much memory a process may use before the kernel ends it, and makes Go collect garbage as often as that needs.
package memorylimit

import (
	"io/fs"
	"math"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
)

// A Source says where a limit comes from.
type Source string

// The sources of a limit.
const (
	FromConfig      Source = "config"
	FromEnvironment Source = "GOMEMLIMIT"
	FromContainer   Source = "container" // a control group, as of a container or a systemd unit
	FromMachine     Source = "machine"   // the memory of the machine
)

// Limit is how much memory a process may use.
type Limit struct {
	Bytes int64 // 0 if it is not known
	From  Source
}

// goShare is Go's share of the memory of a process. The rest is for the program's code, memory that is not Go's, such as SQLite's, and what Go
// cannot free in time.
const goShare = 0.8

// Detect returns the limit of this process: that of GOMEMLIMIT if it is set, otherwise the smallest limit of its control groups, or else the
// memory of the machine.
func Detect() Limit {
	if limit := debug.SetMemoryLimit(-1); os.Getenv("GOMEMLIMIT") != "" && limit < math.MaxInt64 {
		return Limit{int64(float64(limit) / goShare), FromEnvironment}
	}
	return detectIn(os.DirFS("/"))
}

// detectIn returns the limit that the files below a root directory have.
func detectIn(root fs.FS) Limit {
	machine := machineMemory(root)
	if group := groupLimit(root); group > 0 && (machine == 0 || group < machine) {
		return Limit{group, FromContainer}
	}
	return Limit{machine, FromMachine}
}

// Apply makes Go collect garbage more often when its memory comes near its share of the limit. It does nothing if the limit is not known, or
// if GOMEMLIMIT is set and the limit is not that of the config.
func (l Limit) Apply() {
	if l.Bytes > 0 && (l.From == FromConfig || os.Getenv("GOMEMLIMIT") == "") {
		debug.SetMemoryLimit(int64(goShare * float64(l.Bytes)))
	}
}

// machineMemory returns the memory of the machine in bytes, 0 if it is not known.
func machineMemory(root fs.FS) int64 {
	text, _ := fs.ReadFile(root, "proc/meminfo")
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "MemTotal:" && f[2] == "kB" {
			return parseLimit(f[1]) << 10
		}
	}
	return 0
}

// groupLimit returns the smallest limit of the control groups of this process, 0 if there is none. In a container, the path of the
// group may not exist: then the directory above it is that of the container.
func groupLimit(root fs.FS) int64 {
	least := int64(0)
	text, _ := fs.ReadFile(root, "proc/self/cgroup")
	for line := range strings.Lines(string(text)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3) // number, controllers and path
		if len(f) < 3 {
			continue
		}
		top, file := "sys/fs/cgroup", "memory.max"
		if f[1] != "" { // version 1
			if !isListed(f[1], "memory") {
				continue
			}
			top, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		}
		for group := path.Clean("/" + f[2]); ; group = path.Dir(group) {
			value, _ := fs.ReadFile(root, path.Join(top, group, file))
			if limit := parseLimit(strings.TrimSpace(string(value))); limit > 0 && (least == 0 || limit < least) {
				least = limit
			}
			if group == "/" {
				break
			}
		}
	}
	return least
}

// isListed reports whether a list with commas has a name.
func isListed(list, name string) bool { return strings.Contains(","+list+",", ","+name+",") }

// parseLimit returns a number of a file, 0 if it is none, such as max.
func parseLimit(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n >= 1<<53 { // version 1 has a number near 1<<63 for no limit
		return 0
	}
	return n
}
