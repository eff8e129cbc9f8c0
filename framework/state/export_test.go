package state

// MergeToFiles lets a store move the members of all audiences to files, and merge after each write.
func MergeToFiles(s *Store) { s.limits.flush, s.limits.unmerged = 0, 0 }
