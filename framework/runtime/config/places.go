package config

import "path/filepath"

// Beside is a path as the config has it: relative to the file.
func (c *Config) Beside(name string) string { return beside(c.Document.Name(), name) }

// StatePlace is what state is kept in: the address of a database, or the data directory; "" where the config says nothing.
func (c *Config) StatePlace() string {
	switch {
	case c.StateURL != "":
		return c.StateURL
	case c.Data != "":
		return c.Beside(c.Data)
	}
	return ""
}

func beside(file, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(file), name)
}
