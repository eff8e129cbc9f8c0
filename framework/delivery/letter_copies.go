package delivery

// letterCopies are the dead letters of a partition that are in memory, by subject. One can be there twice: a command reads it, and a
// replay of its event finds it in the log. Only the first of the two to be finished takes it out of the counts. It has no lock of its own: the
// worker's mutex guards that of a partition.
type letterCopies struct {
	bySubject map[string]*letterCopy
	reading   bool // a command reads dead letters
}

// letterCopy says who has copies of the dead letter of a subject.
type letterCopy struct {
	hasTask bool   // a task delivers it
	loads   int    // replays that load it, or are being finished with it
	settled uint64 // sequence up to which the dead letters of the subject were taken out of the counts
}

func newLetterCopies() letterCopies { return letterCopies{bySubject: map[string]*letterCopy{}} }

func (c *letterCopies) of(subject string) *letterCopy {
	e := c.bySubject[subject]
	if e == nil {
		e = &letterCopy{}
		c.bySubject[subject] = e
	}
	return e
}

// forgetUnused forgets a subject of which there is no copy.
func (c *letterCopies) forgetUnused(subject string) {
	if e := c.bySubject[subject]; e != nil && !e.hasTask && e.loads == 0 && !c.reading {
		delete(c.bySubject, subject)
	}
}

// hasTask reports whether a task delivers the dead letter of a subject.
func (c *letterCopies) hasTask(subject string) bool {
	e := c.bySubject[subject]
	return e != nil && e.hasTask
}

// withTask returns the subjects whose dead letters a task delivers.
func (c *letterCopies) withTask() map[string]bool {
	list := map[string]bool{}
	for subject, e := range c.bySubject {
		if e.hasTask {
			list[subject] = true
		}
	}
	return list
}

func (c *letterCopies) beginTask(subject string) { c.of(subject).hasTask = true }

func (c *letterCopies) endTask(subject string) {
	if e := c.bySubject[subject]; e != nil {
		e.hasTask = false
		c.forgetUnused(subject)
	}
}

func (c *letterCopies) beginLoad(subjects []string) {
	for _, s := range subjects {
		c.of(s).loads++
	}
}

func (c *letterCopies) endLoad(subjects []string) {
	for _, s := range subjects {
		if e := c.bySubject[s]; e != nil {
			e.loads = max(e.loads-1, 0)
			c.forgetUnused(s)
		}
	}
}

// setReading notes that a command begins or ends to read dead letters.
func (c *letterCopies) setReading(reading bool) {
	c.reading = reading
	for subject := range c.bySubject {
		c.forgetUnused(subject)
	}
}

// settle reports whether a dead letter is still to be taken out of the counts, and notes that it is.
func (c *letterCopies) settle(subject string, seq uint64) bool {
	e := c.of(subject)
	first := seq > e.settled
	e.settled = max(e.settled, seq)
	c.forgetUnused(subject)
	return first
}
