package audiencesync

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// Properties says which columns are sent as properties of a change, so that the mapping of a destination can read them.
type Properties struct {
	All   bool
	Names []string // if not All
}

// includes reports whether a column is a property.
func (p *Properties) includes(column string) bool {
	return p.All || slices.ContainsFunc(p.Names, func(name string) bool { return sameColumn(name, column) })
}

// maxPropertyBytes limits the properties of a row.
const maxPropertyBytes = 32 << 10

// rowProperties are the columns of a file whose values are read as JSON.
type rowProperties struct {
	wanted  Properties
	other   []string         // columns with another purpose
	removed string           // the column that says that a user leaves; "" if there is none
	columns []propertyColumn // unless the file is NDJSON; that of removed is the last one
	typed   PropertyTable    // nil if the columns are texts
}

func propertiesOfRows(o Options) rowProperties {
	return rowProperties{wanted: o.Properties, other: o.Reserved, removed: o.Removed}
}

// isUsed reports whether rows have properties, or say who leaves.
func (p *rowProperties) isUsed() bool {
	return p.wanted.All || len(p.wanted.Names) > 0 || p.removed != ""
}

// isOther reports whether a column has another purpose.
func (p *rowProperties) isOther(column string) bool {
	return slices.Contains(p.other, column) && !slices.ContainsFunc(p.wanted.Names, func(name string) bool { return sameColumn(name, column) })
}

// propertyColumn is a column by its place and its name.
type propertyColumn struct {
	at   int
	name string
}

// propertyWarnings records properties that had no effect.
type propertyWarnings struct {
	missing     map[string]bool // names that no row of NDJSON has had; nil before the first row
	dropped     []string        // columns without a JSON form
	checked     map[string]bool // whether the mapping reads a property
	checkedRows int
	readBy      string // the action whose mapping it is
}

// useProperty records that a column of a header is a property, and reports whether it is one.
func (r *Rows) useProperty(at int, name string) (bool, error) {
	p := &r.properties
	name = strings.TrimSpace(name)
	if p.isOther(name) || !p.wanted.includes(name) || name == "" || sameColumn(name, r.only.Column) || sameColumn(name, p.removed) {
		return false, nil
	}
	for _, c := range p.columns {
		if c.name == name {
			return false, &HeaderError{fmt.Sprintf("the column %s occurs twice, as columns %d and %d: remove one of them", name, c.at+1, at+1)}
		}
	}
	p.columns = append(p.columns, propertyColumn{at, name})
	return true, nil
}

// checkPropertyNames rejects names of properties that the header does not have.
func (r *Rows) checkPropertyNames(header []string) error {
	p := &r.properties
	place := func(name string) int {
		return slices.IndexFunc(header, func(h string) bool { return sameColumn(h, name) })
	}
	for _, name := range p.wanted.Names {
		if place(name) < 0 {
			return &HeaderError{fmt.Sprintf("%s has no column %q to send as a property%s: it has %s", r.words.source, name, fault.DidYouMean(name, header), showNames(header))}
		}
	}
	if p.removed == "" {
		return nil
	}
	at := place(p.removed)
	if at < 0 {
		return &HeaderError{fmt.Sprintf("%s has no column %q that says who leaves%s: it has %s", r.words.source, p.removed, fault.DidYouMean(p.removed, header), showNames(header))}
	}
	p.columns = append(p.columns, propertyColumn{at, p.removed})
	return nil
}

// useTableProperties tells a table which of its columns are read as JSON. Bytes are left out with a warning unless they were asked for.
func (r *Rows) useTableProperties(t Table, columns []Column) error {
	p := &r.properties
	kept := p.columns[:0]
	for _, c := range p.columns {
		switch {
		case !columns[c.at].Bytes:
			kept = append(kept, c)
		case p.wanted.All && c.name != p.removed:
			r.warnings.properties.dropped = append(r.warnings.properties.dropped, c.name)
		default:
			return &HeaderError{fmt.Sprintf("the column %s has the type %s, which has no JSON form: select it as text", fault.Shorten(c.name, maxName), columns[c.at].Type)}
		}
	}
	p.columns = kept
	typed, ok := t.(PropertyTable)
	if !ok || len(kept) == 0 {
		return nil
	}
	used := make([]int, len(kept))
	for i, c := range kept {
		used[i] = c.at
	}
	typed.UseProperties(used)
	p.typed = typed
	return nil
}

// readProperties returns the properties of the current row, and whether its user leaves. The error is a *RowError.
func (r *Rows) readProperties() (properties event.Value, leaves bool, err error) {
	members, err := r.propertyMembers()
	if err != nil {
		return properties, false, err
	}
	if name := r.properties.removed; name != "" {
		at := slices.IndexFunc(members, func(m event.Member) bool { return sameColumn(m.Key, name) })
		if at >= 0 {
			if leaves, err = r.readRemoved(members[at]); err != nil {
				return properties, false, err
			}
			members = slices.Delete(members, at, at+1)
		}
	}
	properties = event.NewObject(members)
	if size := properties.Size(); size > maxPropertyBytes {
		return properties, false, r.rowErrorf("its properties have %d KB, more than %d KB: name the columns to send, instead of sending all", size>>10, maxPropertyBytes>>10)
	}
	return properties, leaves, nil
}

// readRemoved reads the column that says whether a user leaves.
func (r *Rows) readRemoved(m event.Member) (bool, error) {
	switch strings.ToLower(strings.TrimSpace(m.Value.Text())) {
	case "true", "t", "1", "yes", "y":
		return true, nil
	case "false", "f", "0", "no", "n", "":
		return false, nil
	}
	return false, r.rowErrorf("%s should be true or false", m.Key)
}

// propertyMembers returns the columns of the current row that are read as JSON.
func (r *Rows) propertyMembers() (members []event.Member, err error) {
	if r.records == nil {
		return r.objectProperties(), nil
	}
	if typed := r.properties.typed; typed != nil {
		values, problem := typed.Properties()
		if problem != "" {
			return nil, r.rowErrorf("%s", problem)
		}
		for i, c := range r.properties.columns {
			members = append(members, event.Member{Key: c.name, Value: values[i]})
		}
		return members, nil
	}
	for _, c := range r.properties.columns {
		if c.at >= len(r.record) {
			continue
		}
		text := strings.TrimSpace(r.record[c.at])
		if !utf8.ValidString(text) {
			return nil, r.rowErrorf("%s is not valid text in UTF-8", c.name)
		}
		if text != "" {
			members = append(members, event.Member{Key: c.name, Value: event.NewString(text)})
		}
	}
	return members, nil
}

// objectProperties returns the properties of a row of NDJSON.
func (r *Rows) objectProperties() (members []event.Member) {
	w := &r.warnings.properties
	if w.missing == nil {
		w.missing = map[string]bool{}
		for _, name := range r.properties.wanted.Names {
			w.missing[name] = true
		}
	}
	for name, v := range r.object.Members() {
		removed := r.properties.removed != "" && sameColumn(name, r.properties.removed)
		if !removed && (r.properties.isOther(name) || !r.properties.wanted.includes(name)) || name == r.only.Column {
			continue
		}
		members = append(members, event.Member{Key: name, Value: v})
		maps.DeleteFunc(w.missing, func(wanted string, _ bool) bool { return sameColumn(wanted, name) })
	}
	return members
}

// list describes the properties that had no effect.
func (w *propertyWarnings) list() (list []string) {
	if len(w.missing) > 0 {
		list = append(list, "no row has "+showNames(slices.Sorted(maps.Keys(w.missing)))+", to send as a property")
	}
	if n := len(w.dropped); n > 0 {
		list = append(list, fmt.Sprintf("%s not sent as properties, since their values are bytes or nested: %s", fault.Plural(n, "a column was", "columns were"), showNames(w.dropped)))
	}
	var unread []string
	for name, read := range w.checked {
		if !read {
			unread = append(unread, name)
		}
	}
	if n := len(unread); n > 0 {
		slices.Sort(unread)
		list = append(list, fmt.Sprintf(`%s no effect as properties, since the mapping of %s does not read them: %s; a subscription's mapping reads them as {"@path": "$.properties.%s"}, for fields that the destination sends`,
			fault.Plural(n, "a column has", "columns have"), w.readBy, showNames(unread), unread[0]))
	}
	return list
}
