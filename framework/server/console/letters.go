package console

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/landfall-dev/landfall/framework/delivery"
)

type lettersView struct {
	Runs      bool
	Instances []string
	Filter    delivery.DeadLetterFilter
	Kind      string // dead, parked or "" for both
	Letters   []*delivery.DeadLetter
	More      bool // there are more than are shown
	Done      string
	Error     string
	Query     string // the filter, for links
}

// filterOf reads which letters are meant.
func filterOf(q func(string) string) (delivery.DeadLetterFilter, string) {
	kind := q("kind")
	return delivery.DeadLetterFilter{
		ID: q("id"), Instance: q("instance"), User: q("user"), Reason: q("reason"), Parked: kind == "parked", Dead: kind == "dead",
	}, kind
}

func queryOf(f delivery.DeadLetterFilter, kind string) string {
	q := url.Values{}
	for name, text := range map[string]string{"instance": f.Instance, "user": f.User, "reason": f.Reason, "kind": kind, "id": f.ID} {
		if text != "" {
			q.Set(name, text)
		}
	}
	return q.Encode()
}

func (c *Console) letters(w http.ResponseWriter, r *http.Request) {
	view := lettersView{Runs: c.Queue != nil}
	if c.Queue != nil {
		view.Filter, view.Kind = filterOf(r.FormValue)
		view.Query = queryOf(view.Filter, view.Kind)
		for _, s := range c.Runner.Status() {
			view.Instances = append(view.Instances, s.Instance)
		}
		f := view.Filter
		f.Limit = maxLetters + 1
		err := c.Queue.DeadLetters(r.Context(), f, func(l *delivery.DeadLetter) error {
			view.Letters = append(view.Letters, l)
			return nil
		})
		if err != nil {
			view.Error = err.Error()
		}
		if view.More = len(view.Letters) > maxLetters; view.More {
			view.Letters = view.Letters[:maxLetters]
		}
	}
	if n, err := strconv.Atoi(r.FormValue("n")); err == nil {
		switch r.FormValue("done") {
		case "replay":
			view.Done = fmt.Sprintf("%s taken again. What becomes of them shows under Events.", lettersWord(n, " is being", " are being"))
		case "drop":
			view.Done = fmt.Sprintf("%s dropped for good.", lettersWord(n, " was", " were"))
		}
	}
	c.show(w, r, http.StatusOK, "letters", page{Title: "Dead letters", Section: "letters", Data: view})
}

func lettersWord(n int, one, many string) string {
	if n == 1 {
		return "1 letter" + one
	}
	return count(n) + " letters" + many
}

func (c *Console) letter(w http.ResponseWriter, r *http.Request) {
	var found *delivery.DeadLetter
	if c.Queue != nil {
		f := delivery.DeadLetterFilter{ID: r.PathValue("id"), Limit: 1}
		err := c.Queue.DeadLetters(r.Context(), f, func(l *delivery.DeadLetter) error { found = l; return nil })
		if err != nil {
			c.fail(w, r, http.StatusInternalServerError, "letters", "The letter cannot be read", capitalized(err.Error())+".")
			return
		}
	}
	if found == nil {
		c.fail(w, r, http.StatusNotFound, "letters", "No such letter", "It may have been replayed or dropped meanwhile.")
		return
	}
	c.show(w, r, http.StatusOK, "letter", page{Title: "Letter " + found.ID, Section: "letters", Data: found})
}

// dropQuestion asks before letters are deleted.
type dropQuestion struct {
	Filter delivery.DeadLetterFilter
	Kind   string
	Count  int
	Parked int // of them
}

// changeLetters replays or drops the letters that a form chooses. Dropping is asked for first.
func (c *Console) changeLetters(w http.ResponseWriter, r *http.Request) {
	if c.Queue == nil {
		c.fail(w, r, http.StatusNotFound, "letters", "Nothing delivers here", "Start landfall serve to have letters.")
		return
	}
	f, kind := filterOf(r.PostFormValue)
	do, change := r.PostFormValue("do"), map[string]func(context.Context, delivery.DeadLetterFilter) (int, error){
		"replay": c.Queue.ReplayDeadLetters, "drop": c.Queue.DropDeadLetters,
	}[r.PostFormValue("do")]
	if do == "ask" {
		q := dropQuestion{Filter: f, Kind: kind}
		err := c.Queue.DeadLetters(r.Context(), f, func(l *delivery.DeadLetter) error {
			q.Count++
			if l.Parked {
				q.Parked++
			}
			return nil
		})
		if err == nil {
			c.show(w, r, http.StatusOK, "drop", page{Title: "Drop letters?", Section: "letters", Data: q})
			return
		}
		c.fail(w, r, http.StatusInternalServerError, "letters", "The letters cannot be read", capitalized(err.Error())+".")
		return
	}
	if change == nil {
		c.fail(w, r, http.StatusBadRequest, "letters", "Nothing was done", "The form did not say what to do.")
		return
	}
	n, err := change(r.Context(), f)
	c.Guard.Record(r.Context(), "letters."+do, err, "instance", f.Instance, "id", f.ID, "kind", kind, "by_user", f.User != "", "by_reason", f.Reason != "", "count", n)
	if err != nil {
		c.fail(w, r, http.StatusInternalServerError, "letters", "This did not work", capitalized(err.Error())+".")
		return
	}
	f.ID = ""
	back := url.Values{"done": {do}, "n": {strconv.Itoa(n)}}.Encode()
	if q := queryOf(f, kind); q != "" {
		back += "&" + q
	}
	http.Redirect(w, r, Path+"letters?"+back, http.StatusSeeOther)
}
