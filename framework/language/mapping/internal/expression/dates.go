package expression

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/landfall-dev/landfall/framework/event"
)

// dateConverter converts the texts of a value that are times.
type dateConverter struct {
	pattern *regexp.Regexp
	convert func(time.Time) any
	inLists bool
}

func convertDates(args []any) (any, error) {
	pattern, ok := args[1].(*regexp.Regexp)
	if !ok {
		return nil, fmt.Errorf("a pattern is needed, not %T", args[1])
	}
	c := dateConverter{pattern: pattern}
	switch args[2] {
	case "seconds":
		c.convert = func(t time.Time) any { return int(t.Unix()) }
	case "utc":
		c.convert = func(t time.Time) any { return t.UTC().Format("2006-01-02 15:04:05 -07:00") }
	default:
		return nil, errors.New(`the form of dates should be "seconds" or "utc"`)
	}
	if c.inLists, ok = args[3].(bool); !ok {
		return nil, fmt.Errorf("inLists should be true or false, not %T", args[3])
	}
	return c.convertValue(args[0]), nil
}

func (c dateConverter) convertValue(x any) any {
	switch x := x.(type) {
	case string:
		if !c.pattern.MatchString(x) {
			return x
		}
		if t, err := event.ReadTime(event.NewString(x)); err == nil {
			return c.convert(t)
		}
	case map[string]any:
		converted := make(map[string]any, len(x))
		for key, v := range x {
			converted[key] = c.convertValue(v)
		}
		return converted
	case []any:
		if !c.inLists {
			return x
		}
		converted := make([]any, len(x))
		for i, v := range x {
			converted[i] = c.convertValue(v)
		}
		return converted
	}
	return x
}
