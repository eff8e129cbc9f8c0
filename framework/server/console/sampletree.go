package console

import (
	"strconv"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
)

// treeNode is a value of the sample event.
type treeNode struct {
	Key, Path string
	Text      string // of a value without parts
	Children  []treeNode
	IsGroup   bool // an object or a list
}

// Limits of the tree of a sample.
const (
	maxTreeDepth = 12
	maxTreeItems = 50 // of one list or object
)

// sampleTree returns the values of an event with their paths.
func sampleTree(text string) []treeNode {
	e, err := event.Parse([]byte(strings.TrimSpace(text)))
	if err != nil {
		return nil
	}
	return treeOf(e.Value(), "$", 0)
}

func treeOf(v event.Value, path string, depth int) (list []treeNode) {
	if depth >= maxTreeDepth {
		return nil
	}
	add := func(key, at string, v event.Value) {
		if len(list) >= maxTreeItems {
			return
		}
		n := treeNode{Key: key, Path: at}
		switch v.Kind() {
		case event.Object, event.Array:
			n.IsGroup, n.Children = true, treeOf(v, at, depth+1)
		default:
			n.Text = truncateText(v.JSON())
		}
		list = append(list, n)
	}
	for key, m := range v.Members() {
		add(key, path+pathStep(key), m)
	}
	for i, item := range v.Items() {
		add(strconv.Itoa(i), path+"["+strconv.Itoa(i)+"]", item)
	}
	return list
}

// pathStep returns a key as a step of a path: in brackets if it has characters with a meaning in paths.
func pathStep(key string) string {
	plain := key != ""
	for _, r := range key {
		plain = plain && (r == '_' || r == '-' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z')
	}
	switch {
	case plain:
		return "." + key
	case strings.Contains(key, `"]`):
		return "['" + key + "']"
	}
	return `["` + key + `"]`
}
