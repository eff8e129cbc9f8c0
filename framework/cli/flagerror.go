package cli

import (
	"errors"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/landfall-dev/landfall/framework/fault"
)

// valueForms says what the values of flags look like, by the flag's type.
var valueForms = map[string]string{
	"int": "a whole number such as 100", "float64": "a number such as 1.5", "bool": "true or false, or have no value",
	"duration": "a duration such as 90s, 15m or 168h", "stringToString": "like NAME=VALUE",
}

// flagError puts an error in the flags of a command in words that say what to write.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var lacking *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() == "":
		name, similar := unknown.GetSpecifiedName(), ""
		if near := fault.Nearest(name, flagNames(cmd)); near != "" {
			similar = " (did you mean --" + near + "?)"
		}
		return usageErrorf("there is no flag --%s%s", name, similar)
	case errors.As(err, &lacking):
		what, _ := pflag.UnquoteUsage(lacking.GetFlag())
		return usageErrorf("--%s needs a value: %s", lacking.GetFlag().Name, what)
	case errors.As(err, &invalid):
		f := invalid.GetFlag()
		if form, ok := valueForms[f.Value.Type()]; ok {
			return usageErrorf("--%s should be %s but is %q", f.Name, form, invalid.GetValue())
		}
	}
	return usageError{err}
}

func flagNames(cmd *cobra.Command) (names []string) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	return names
}
