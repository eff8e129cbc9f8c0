package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// SealedPrefix begins a reference to a secret that is stored encrypted in the state: secret:NAME.
const SealedPrefix = "secret:"

// sealedName matches the name of a sealed secret: the instance that it was made for, and the setting.
var sealedName = regexp.MustCompile(`^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$`)

// SealedName returns the name in a reference to a sealed secret; false if the text is not one.
func SealedName(text string) (string, bool) {
	name, ok := strings.CutPrefix(text, SealedPrefix)
	return name, ok && sealedName.MatchString(name)
}

// HasSealed reports whether an enabled instance refers to a sealed secret.
func (c *Config) HasSealed() bool {
	return slices.ContainsFunc(c.Instances, func(in Instance) bool { return in.Enabled && len(in.sealedNames()) > 0 })
}

// SealedNames returns the names of the sealed secrets that instances refer to, enabled or not, in the order of the file.
func (c *Config) SealedNames() (names []string) {
	for _, in := range c.Instances {
		names = append(names, in.sealedNames()...)
	}
	return names
}

func (in *Instance) sealedNames() (names []string) {
	for _, v := range []event.Value{in.Settings, in.Auth} {
		_ = replaceSealed(v, "", func(name, _ string) string {
			names = append(names, name)
			return ""
		})
	}
	return names
}

// UnopenedSecrets returns a problem for each reference to a sealed secret in an enabled instance. A program that does not open them must not
// send the references in their place.
func (in *Instance) UnopenedSecrets() (problems fault.Problems) {
	if !in.Enabled {
		return nil
	}
	refuse := func(name, place string) string {
		problems.Add(place, "is the secret %s in the state of landfall serve, which this program does not open: use ${VARIABLE} or file:PATH", name)
		return ""
	}
	_ = replaceSealed(in.Settings, in.Pointer+"/settings", refuse)
	_ = replaceSealed(in.Auth, in.Pointer+"/auth", refuse)
	return problems
}

// WithSealed returns a copy of the config in which the references to sealed secrets of enabled instances are replaced by the results of
// open. The problems name the references that open cannot replace.
func (c *Config) WithSealed(open func(name string) (string, error)) (*Config, fault.Problems) {
	opened := *c
	opened.Instances, opened.secrets = slices.Clone(c.Instances), slices.Clone(c.secrets)
	var problems fault.Problems
	replace := func(name, place string) string {
		text, err := open(name)
		if err != nil {
			problems.Add(place, "%v", err)
			return ""
		}
		opened.secrets = append(opened.secrets, text)
		return text
	}
	for i := range opened.Instances {
		in := &opened.Instances[i]
		if !in.Enabled {
			continue
		}
		in.Settings = replaceSealed(in.Settings, in.Pointer+"/settings", replace)
		in.Auth = replaceSealed(in.Auth, in.Pointer+"/auth", replace)
		in.AccessToken = in.Auth.Get("accessToken").Str()
	}
	return &opened, c.Document.Locate(problems)
}

// replaceSealed returns v with each reference to a sealed secret replaced by the result of replace, which gets its name and its place.
func replaceSealed(v event.Value, place string, replace func(name, place string) string) event.Value {
	switch v.Kind() {
	case event.String:
		if name, ok := SealedName(v.Str()); ok {
			return event.NewString(replace(name, place))
		}
	case event.Object:
		var members []event.Member
		for key, m := range v.Members() {
			members = append(members, event.Member{Key: key, Value: replaceSealed(m, place+fault.PointerKey(key), replace)})
		}
		return event.NewObject(members)
	case event.Array:
		var items []event.Value
		for i, item := range v.Items() {
			items = append(items, replaceSealed(item, fmt.Sprintf("%s/%d", place, i), replace))
		}
		return event.NewArray(items)
	}
	return v
}
