package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
)

// declaredResponse is a response in which texts may contain {{message}} and, in the entries of items, {{index}} and {{item}}.
type declaredResponse struct {
	status int
	body   string // JSON; a text is sent as it is
	plain  bool
	list   string // the path in the body of the list that gets the entries of refused items; "" for none
	entry  string // JSON of one entry
	key    string // the key of each entry, for an object in place of the list; "" for a list
}

func responseOf(v event.Value, status int) declaredResponse {
	d := declaredResponse{status: status, body: "{}"}
	if s := v.Get("status"); s.Exists() {
		d.status = int(s.Int())
	}
	if b := v.Get("body"); b.Exists() {
		d.body, d.plain = b.JSON(), b.IsString()
		if d.plain {
			d.body = b.Str()
		}
	}
	d.list, d.entry, d.key = v.Get("list").Str(), v.Get("entry").JSON(), v.Get("key").Str()
	return d
}

func (d declaredResponse) write(w http.ResponseWriter, message string, refused []itemRefusal) {
	names := map[string]event.Value{messageName: event.NewString(message), indexName: event.NewInt(0)}
	if d.plain {
		w.WriteHeader(d.status)
		fmt.Fprint(w, fillText(d.body, names)) // the client may be gone
		return
	}
	body := fillJSON(d.body, names)
	if object, ok := body.(map[string]any); ok && d.list != "" && len(refused) > 0 {
		d.addEntries(object, refused)
	}
	WriteJSON(w, d.status, body)
}

// addEntries puts the entries of refused items into the body, at the path of the list.
func (d declaredResponse) addEntries(body map[string]any, refused []itemRefusal) {
	list, byKey := []any{}, map[string]any{}
	for _, item := range refused {
		names := map[string]event.Value{messageName: event.NewString(item.message), indexName: event.NewInt(int64(item.index)), itemName: item.item}
		entry := fillJSON(d.entry, names)
		list = append(list, entry)
		byKey[fillText(d.key, names)] = entry
	}
	keys := strings.Split(d.list, ".")
	for _, key := range keys[:len(keys)-1] {
		inner, ok := body[key].(map[string]any)
		if !ok {
			inner = map[string]any{}
			body[key] = inner
		}
		body = inner
	}
	if last := keys[len(keys)-1]; d.key != "" {
		body[last] = byKey
	} else {
		body[last] = list
	}
}

// The names of placeholders in responses.
const (
	messageName = "message"
	indexName   = "index"
	itemName    = "item"
)

var placeholder = regexp.MustCompile(`\{\{([^{}]*)\}\}`)

// fillJSON decodes JSON and fills in the placeholders in its keys and texts. A text that is nothing but a placeholder becomes its value.
func fillJSON(text string, names map[string]event.Value) any {
	var v any
	_ = json.Unmarshal([]byte(text), &v) // it was JSON in the file
	return fillValue(v, names)
}

func fillValue(v any, names map[string]event.Value) any {
	switch v := v.(type) {
	case string:
		if found := placeholder.FindStringSubmatch(v); found != nil && found[0] == v {
			if value, ok := readName(found[1], names); ok {
				return value.Any()
			}
		}
		return fillText(v, names)
	case []any:
		for i, item := range v {
			v[i] = fillValue(item, names)
		}
	case map[string]any:
		filled := make(map[string]any, len(v))
		for key, value := range v {
			filled[fillText(key, names)] = fillValue(value, names)
		}
		return filled
	}
	return v
}

// fillText fills in the placeholders in a text. Others stay as they are.
func fillText(text string, names map[string]event.Value) string {
	return placeholder.ReplaceAllStringFunc(text, func(found string) string {
		if value, ok := readName(strings.Trim(found, "{}"), names); ok {
			return value.Text()
		}
		return found
	})
}

// readName returns the value of a placeholder such as message or item.id.
func readName(text string, names map[string]event.Value) (event.Value, bool) {
	name, path, _ := strings.Cut(strings.TrimSpace(text), ".")
	value, ok := names[name]
	return event.NewPath(path).Read(value), ok
}
