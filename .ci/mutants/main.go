// Command mutants makes small faults in a package, one at a time, and reports which of them the package's own tests do not notice.
//
//	go run ./.ci/mutants -n 30 -seed 1 ./framework/event ./framework/state
//	go run ./.ci/mutants -n 20 -run 'Letter|Replay' -files 'letters.go,replay.go' ./framework/delivery
//	go run ./.ci/mutants -n 20 -slow 'Crash|Rename' -files 'crashes.go,instances.go' ./framework/delivery
//
// The tests run in short form. With -slow, a fault that they do not notice is tried again with other tests in full.
//
// Each fault is one change of one expression or statement: a comparison, an operand, a limit, a dropped error, a removed call, assignment,
// continue or return. Logging, locks and methods such as String have none. The test binary of a package is built once with all faults in it, each behind a switch, and run once for each fault of the sample. The
// changed files reach the compiler with the -overlay flag: no file of the tree changes. Faults that do not compile are left out.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// options are the flags.
type options struct {
	count   int
	seed    uint64
	timeout time.Duration
	run     string
	skip    string
	slow    string
	short   bool
	files   string
	verbose bool
}

func main() {
	o := options{short: true}
	flag.IntVar(&o.count, "n", 20, "faults of each package; 0 tries all")
	flag.Uint64Var(&o.seed, "seed", 1, "of the sample")
	flag.DurationVar(&o.timeout, "timeout", 0, "for the tests of one fault, which is noticed if they take longer; 0 is 10s and four times what they take without a fault")
	flag.StringVar(&o.run, "run", "", "only the tests that match, as of go test")
	flag.StringVar(&o.skip, "skip", "", "not the tests that match, as of go test")
	flag.StringVar(&o.slow, "slow", "", "try faults that are not noticed again with the tests that match, in full, not in short form")
	flag.StringVar(&o.files, "files", "", "only faults in these files, comma-separated base names")
	flag.BoolVar(&o.verbose, "v", false, "print the noticed faults as well")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: go run ./.ci/mutants [flags] DIRECTORY...")
		flag.PrintDefaults()
	}
	flag.Parse()
	for _, dir := range flag.Args() {
		if err := sample(dir, o); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", dir, err)
			os.Exit(1)
		}
	}
}

// sample tries random faults of a package and prints those that its tests do not notice.
func sample(dir string, o options) error {
	work, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	sources, err := parseSources(dir, o.files)
	if err != nil {
		return err
	}
	binary, err := build(dir, work, sources)
	if err != nil {
		return err
	}
	stages, err := o.stages(binary, dir)
	if err != nil {
		return err
	}
	var faults []*mutant
	for _, s := range sources {
		faults = append(faults, s.live()...)
	}
	random := rand.New(rand.NewPCG(o.seed, 1))
	random.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
	if o.count > 0 && len(faults) > o.count {
		faults = faults[:o.count]
	}
	report(dir, binary, faults, stages, o.verbose)
	return nil
}

// stages returns the options of the runs of the tests for each fault: in short form and, for -slow, in full.
func (o options) stages(binary, dir string) ([]options, error) {
	list := []options{o}
	if o.slow != "" {
		full := o
		full.run, full.short = o.slow, false
		list = append(list, full)
	}
	for i := range list {
		if err := tryWithout(binary, dir, &list[i]); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// report tries faults and prints which of them the tests notice.
func report(dir, binary string, faults []*mutant, stages []options, verbose bool) {
	caught := 0
	for _, m := range faults {
		outcome := "not noticed"
		if slices.ContainsFunc(stages, func(o options) bool { noticed, _ := try(binary, dir, m.id, o); return noticed }) {
			caught++
			outcome = "noticed"
		}
		if verbose || outcome != "noticed" {
			fmt.Printf("%s:%d:%d: %s: %s: %s\n", m.file, m.line, m.column, m.kind, outcome, m.text)
		}
	}
	fmt.Printf("%s: %d of %d noticed, %d %%\n", dir, caught, len(faults), 100*caught/max(len(faults), 1))
}

// tryWithout runs the tests without a fault. They must pass, and bound the time of those with one.
func tryWithout(binary, dir string, o *options) error {
	without := *o
	if o.timeout == 0 {
		without.timeout = 5 * time.Minute
	}
	start := time.Now()
	if failed, output := try(binary, dir, 0, without); failed {
		return fmt.Errorf("the tests fail without a fault:\n%s", output)
	}
	if o.timeout == 0 {
		o.timeout = 10*time.Second + 4*time.Since(start)
	}
	return nil
}

// try runs the tests with one fault switched on and reports whether they fail.
func try(binary, dir string, id int, o options) (noticed bool, output []byte) {
	ctx, cancel := context.WithTimeout(context.Background(), o.timeout+5*time.Second)
	defer cancel()
	args := []string{fmt.Sprintf("-test.short=%t", o.short), "-test.failfast", "-test.timeout=" + o.timeout.String()}
	if o.run != "" {
		args = append(args, "-test.run="+o.run)
	}
	if o.skip != "" {
		args = append(args, "-test.skip="+o.skip)
	}
	test := exec.CommandContext(ctx, binary, args...)
	test.Dir, test.WaitDelay = dir, time.Second
	test.Env = append(os.Environ(), "MUTANT="+strconv.Itoa(id))
	output, err := test.CombinedOutput()
	return err != nil, output
}

// build compiles the package's tests with all faults behind switches. It leaves out the faults on lines that do not compile, until the rest does.
func build(dir, work string, sources []*source) (string, error) {
	binary, err := filepath.Abs(filepath.Join(work, "package.test"))
	if err != nil {
		return "", err
	}
	for {
		overlay, err := writeOverlay(dir, work, sources)
		if err != nil {
			return "", err
		}
		output, err := exec.Command("go", "test", "-c", "-vet=off", "-gcflags=-e", "-overlay", overlay, "-o", binary, "./"+filepath.Clean(dir)).CombinedOutput()
		if err == nil {
			return binary, nil
		}
		if leaveOut(string(output), sources) == 0 && leaveOutRisky(sources) == 0 {
			return "", fmt.Errorf("%w: %s", err, output)
		}
	}
}

// writeOverlay writes the changed files and returns the path of the description that the -overlay flag reads.
func writeOverlay(dir, work string, sources []*source) (string, error) {
	full, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	write := func(name string, text []byte) error {
		replaced := filepath.Join(work, name)
		replace[filepath.Join(full, name)] = replaced
		return os.WriteFile(replaced, text, 0o600)
	}
	for _, s := range sources {
		if err := write(filepath.Base(s.file), s.changed()); err != nil {
			return "", err
		}
	}
	switches := bytes.Replace([]byte(switchSource), []byte("PACKAGE"), []byte(sources[0].pkg), 1)
	if err := write("zz_mutant_switches.go", switches); err != nil {
		return "", err
	}
	overlay := filepath.Join(work, "overlay.json")
	spec, err := json.Marshal(map[string]any{"Replace": replace})
	return overlay, errors.Join(err, os.WriteFile(overlay, spec, 0o600))
}

// leaveOut reads the compiler's messages, takes the faults on the lines they name out and returns how many it took out.
func leaveOut(messages string, sources []*source) int {
	taken := 0
	for message := range strings.Lines(messages) {
		parts := strings.SplitN(message, ":", 3)
		if len(parts) < 3 {
			continue
		}
		line, err := strconv.Atoi(parts[1])
		if err != nil {
			continue
		}
		for _, s := range sources {
			if filepath.Base(s.file) == filepath.Base(parts[0]) {
				taken += s.leaveOut(line)
			}
		}
	}
	return taken
}

// leaveOutRisky takes the risky faults of all files out and returns how many it took out.
func leaveOutRisky(sources []*source) int {
	taken := 0
	for _, s := range sources {
		taken += s.leaveOutRisky()
	}
	return taken
}
