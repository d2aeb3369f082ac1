"""What goes wrong around a run, made to happen: kills, crowds, bad disks, little memory."""
