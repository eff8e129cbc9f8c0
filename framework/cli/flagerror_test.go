package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
)

func TestWrongFlags(t *testing.T) {
	for args, want := range map[string]string{
		"dead list --limit x":                    `--limit should be a whole number such as 100 but is "x"`,
		"dead list --limit 99999999999999999999": `--limit should be a whole number such as 100 but is "99999999999999999999"`,
		"sync --remove=maybe x":                  `--remove should be true or false, or have no value but is "maybe"`,
		"sync --column a x.csv":                  `--column should be like NAME=VALUE but is "a"`,
		"run --config":                           "--config needs a value: FILE",
		"run --confg x":                          `there is no flag --confg (did you mean --config?)`,
		"run -x":                                 "unknown shorthand flag: 'x' in -x",
		"run --=x":                               "bad flag syntax: --=x",
	} {
		var out bytes.Buffer
		code := executeCommand(t.Context(), strings.Fields(args), streams{out: &out, err: &out})
		assert.Equal(t, exitMisuse, code, args)
		assert.Contains(t, out.String(), "landfall: "+want+"\n", args)
	}
}

// TestValueFormsOfAllFlags holds the table of forms against the flags of all commands.
func TestValueFormsOfAllFlags(t *testing.T) {
	var check func(cmd *cobra.Command)
	check = func(cmd *cobra.Command) {
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Value.Set("\x00") != nil {
				assert.Contains(t, valueForms, f.Value.Type(), "%s --%s", cmd.CommandPath(), f.Name)
			}
		})
		for _, inner := range cmd.Commands() {
			check(inner)
		}
	}
	check(newRoot(streams{}))
}
