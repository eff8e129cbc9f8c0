package expression

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/expr-lang/expr/builtin"
)

// orderedBuiltins return the members of an object in no order. An event must make the same payload each time, so they are sorted by key.
var orderedBuiltins = []string{"keys", "values", "toPairs"}

// callOrdered calls a builtin of orderedBuiltins and sorts its result.
func callOrdered(params ...any) (any, error) {
	b, ok := budgetOf(params, 3)
	if !ok {
		return nil, errNoBudget
	}
	name, _ := params[1].(string)
	out, err := builtin.Builtins[builtin.Index["toPairs"]].Func(params[2])
	pairs, ok := out.([][2]any)
	if err != nil || !ok { // with the error of the function itself
		return builtin.Builtins[builtin.Index[name]].Func(params[2])
	}
	slices.SortFunc(pairs, func(x, y [2]any) int { return cmp.Compare(sortKey(x[0]), sortKey(y[0])) })
	if name == "toPairs" {
		return pairs, b.charge(3 * elementBytes * len(pairs))
	}
	column := 0
	if name == "values" {
		column = 1
	}
	list := make([]any, len(pairs))
	for i, pair := range pairs {
		list[i] = pair[column]
	}
	return list, b.charge(shallowSize(list))
}

// sortKey returns the text of a key. groupBy and fromPairs make objects with keys of any type.
func sortKey(key any) string {
	if text, err := keyText(key); err == nil {
		return text
	}
	return fmt.Sprint(key)
}
