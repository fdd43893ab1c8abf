"""What is the same for all recorders, from the bottom up.

`script` is what a recorder gives: the steps that events mean. `course` knows how far a script has come, the writers
write what it says, the recordings give out the events of a stream meanwhile. `start` makes the recording that fits the
history, and `found` finds the script by the first event. What has no stream, such as callbacks, uses a writer itself.
"""
