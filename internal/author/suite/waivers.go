package suite

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/yamldoc"
	"github.com/landfall-dev/landfall/internal/textfile"
)

// waiver marks findings as intended. testdata/waivers.yaml is a list of waivers.
type waiver struct {
	check, of string // if of is "", every finding of the check is waived
	file      string
	line      int
}

type waivers []waiver

// formerNames are the names that checks had before, which waivers may still have, with the present ones.
var formerNames = map[string]string{
	"names are as they should be":                "names follow the rules",
	"everything is described":                    "everything has a description",
	"the source does no plumbing":                "clients and clocks come from the framework",
	"the sandbox takes what each action sends":   "the sandbox accepts what each action sends",
	"a preset takes an event of its action":      "presets select events of their action",
	"every answer has its class":                 "every status leads to the right outcome",
	"deletions have the class of their answer":   "deletions have the right outcome",
	"strange answers break nothing":              "unexpected responses are handled",
	"an event fares in a batch as it does alone": "an event has the same result in a batch and alone",
	"plans run beside each other":                "plans run concurrently",
	"what is cancelled ends":                     "cancelled calls end",
	"no goroutine is left over":                  "no goroutine leaks",
}

// readWaivers reads the waivers of a directory. Each needs the name of a check and a reason.
func readWaivers(dir string) (waivers, error) {
	file := filepath.Join(dir, "testdata", "waivers.yaml")
	text, err := textfile.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	doc, err := yamldoc.Parse(file, text)
	if err != nil {
		return nil, err
	}
	var list waivers
	var problems fault.Problems
	if doc.Value().Kind() != event.Array {
		problems.Add("", "should be a list of {check, of, reason}")
	}
	for i, v := range doc.Value().Items() {
		place := fmt.Sprintf("/%d", i)
		w := waiver{check: v.Get("check").Str(), of: v.Get("of").Str(), file: file}
		w.line, _ = doc.Position(place)
		w.check = cmp.Or(formerNames[w.check], w.check)
		if !slices.Contains(Names(), w.check) {
			problems.Add(place+"/check", "is not the name of a check: %q%s", w.check, fault.DidYouMean(w.check, Names()))
		}
		if v.Get("reason").Str() == "" {
			problems.Add(place, "needs a reason")
		}
		list = append(list, w)
	}
	if len(problems) > 0 {
		return nil, doc.Locate(problems)
	}
	return list, nil
}

func (w waiver) coversFinding(f Finding) bool {
	return w.check == f.Check && (w.of == "" || w.of == f.Of)
}

// removeWaived returns the findings that are not waived, and the waivers that waive nothing.
func (list waivers) removeWaived(findings []Finding) (rest []Finding, stale waivers) {
	used := make([]bool, len(list))
	for _, f := range findings {
		waived := false
		for i, w := range list {
			if w.coversFinding(f) {
				used[i], waived = true, true
			}
		}
		if !waived {
			rest = append(rest, f)
		}
	}
	for i, w := range list {
		if !used[i] {
			stale = append(stale, w)
		}
	}
	return rest, stale
}
