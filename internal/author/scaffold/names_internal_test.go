package scaffold

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestNamesOfHandlers checks how the handler of an action is called, and that no name is one that Go or the package has.
func TestNamesOfHandlers(t *testing.T) {
	for key, want := range map[string]string{"sendNote": "sendNote", "URL": "url", "URLCheck": "urlCheck", "X": "x", "track_event": "trackEvent", "range": "rangeAction", "len": "lenAction", "taken": "takenAction"} {
		assert.Equal(t, want, handlerName(key, []string{"taken"}), key)
	}
	for action, method := range map[string]string{
		"createContact": "Post", "deleteContact": "Delete", "removeUser": "Delete", "drop": "Delete", "eraseUser": "Delete", "forgetUser": "Delete", "updateUser": "Patch", "patchUser": "Patch", "editUser": "Patch",
		"changeUser": "Patch", "putOrder": "Put", "replaceOrder": "Put", "setName": "Put", "settle": "Post", "": "Post",
	} {
		assert.Equal(t, method, methodOf(action), action)
	}
	for key, want := range map[string]string{"createContact": "Create Contact", "acme crm": "Acme Crm", "x": "X", "": "", "sendURL": "Send U R L"} {
		assert.Equal(t, want, titleWords(key), key)
	}
	for text, want := range map[string]string{"Acme": "Acme", "Acme CRM, v2": "Acme CRM, v2", "A: b": `"A: b"`, "9": `"9"`, `a"b`: `"a\"b"`} {
		assert.Equal(t, want, quoteText(text), text)
	}
	for _, n := range []New{{Slug: strings.Repeat("x", 65)}, {Slug: "x", Name: strings.Repeat("x", 65)}} {
		assert.Error(t, n.withDefaults().checkSlug())
	}
	for _, n := range []New{{Slug: strings.Repeat("x", 64)}, {Slug: "x", Name: strings.Repeat("x", 64)}} {
		assert.NoError(t, n.withDefaults().checkSlug())
	}
	assert.Error(t, New{Action: strings.Repeat("x", 65)}.checkAction(nil))
	assert.NoError(t, New{Action: strings.Repeat("x", 64)}.checkAction(nil))
	assert.Error(t, New{Action: "taken"}.checkAction([]string{"taken"}))
	assert.NoError(t, New{Action: "taken", Declared: true}.checkAction([]string{"taken"}), "it has no handler")
}
