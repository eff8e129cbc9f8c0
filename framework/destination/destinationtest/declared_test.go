package destinationtest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/destinationtest"
)

// declaredFiles is a destination without code by the names of its files.
var declaredFiles = map[string]string{
	destination.DefinitionFile: `
name: Acme
slug: acme
mode: cloud
description: Keeps contacts in Acme.
authentication: {scheme: none}
actions:
  addRow:
    title: Add Row
    description: Adds a row.
    fields:
      id: {label: ID, description: The id of the row., type: string, required: true, default: {"@path": $.userId}}
      batch_size: {label: Batch Size, description: The rows of a request., type: integer, minimum: 1, maximum: 50, default: 10}
    request:
      url: https://api.acme.test/rows
      batch: {size: 100, item: {id: {"@path": $.payload.id}}}
      body: {rows: {"@path": $.items}}
      response: {errors: {path: data.failed, match: "{{payload.id}}", message: why}}
`,
	destination.SandboxFile: `
refused: {status: 400, body: {message: "{{message}}"}}
routes:
  - request: POST /rows
    items: rows
    maxItems: 50
    partial: true
    item: {type: object, required: [id], properties: {id: {type: string, maxLength: 8}}}
    response: {status: 200, body: {}, list: data.failed, key: "{{item.id}}", entry: {why: "{{message}}"}}
`,
	"testdata/cases/add-row.yaml": `
name: a row
destination: acme
action: addRow
events: [{type: identify, userId: u1}]
expect: {results: [{outcome: delivered}]}
`,
}

// TestDeclaredSandboxFindings changes a file of a destination without code, and checks what the suite says about its sandbox.
func TestDeclaredSandboxFindings(t *testing.T) {
	const accepts = "the sandbox accepts what each action sends"
	for _, c := range []struct{ name, file, old, new, want string }{
		{"as it is", destination.SandboxFile, "", "", ""},
		{"a wrong path of errors", destination.DefinitionFile, "path: data.failed", "path: data.faild", "its event is delivered: response.errors should read the refusal"},
		{"no errors", destination.DefinitionFile, `      response: {errors: {path: data.failed, match: "{{payload.id}}", message: why}}`, "", "its event is delivered: response.errors should read the refusal"},
		{"a batch above the limit of the remote", destination.SandboxFile, "maxItems: 50", "maxItems: 49", "a batch of 50 payloads, the most that the action allows, is refused (BAD_REQUEST: there are 50 items, but the limit is 49)"},
		{"requests that are divided", destination.DefinitionFile, "maximum: 50", "maximum: 300", "there are 100 items, but the limit is 50"},
		{"a list that the body does not have", destination.SandboxFile, "items: rows", "items: row", `the sandbox accepts no event of a case: the body has no list "row"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "acme")
			for name, text := range declaredFiles {
				if name == c.file {
					require.Contains(t, text, c.old)
					text = strings.Replace(text, c.old, c.new, 1)
				}
				require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
				require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
			}
			findings, err := destinationtest.FindWith(accepts, destination.InFolder(dir), dir)
			require.NoError(t, err)
			if c.want == "" {
				assert.Empty(t, findings)
				return
			}
			require.Len(t, findings, 1)
			assert.Contains(t, findings[0].String(), "addRow: ")
			assert.Contains(t, findings[0].String(), c.want)
		})
	}
}
