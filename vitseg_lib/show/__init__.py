"""From numbers to pictures: the course's figures and, later, its widgets."""
