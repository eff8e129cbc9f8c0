package config

import "path/filepath"

// ResolvePath returns a path of the config relative to the working directory: the config has it relative to its own directory.
func (c *Config) ResolvePath(name string) string { return resolvePath(c.Document.Name(), name) }

// StateLocation returns where state is stored: the URL of a database, or the data directory. It is "" if the config sets neither.
func (c *Config) StateLocation() string {
	switch {
	case c.StateURL != "":
		return c.StateURL
	case c.Data != "":
		return c.ResolvePath(c.Data)
	}
	return ""
}

func resolvePath(file, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(file), name)
}
